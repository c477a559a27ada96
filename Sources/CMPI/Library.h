#pragma once
#include <stdatomic.h>
#include <stdbool.h>

#include "CMPI.h"

/// A handle of any interface. They differ in width, so every call exists for both.
typedef union {
  int integer;    // MPICH
  void *pointer;  // Open MPI, standard
} cmpi_handle;

enum cmpi_interface { CMPI_NONE, CMPI_OPEN_MPI, CMPI_MPICH, CMPI_STANDARD };

/// The library that is open, and the constants of its interface.
struct cmpi_state {
  enum cmpi_interface interface;
  void *handle;
  /// Between start and end.
  atomic_bool is_started;
  int rank;
  cmpi_handle world, byte, real, errors_return;
  /// The exchanges that were begun, by their places.
  cmpi_handle requests[CMPI_PLACES];
  void *status_ignore;
  /// The level at which one thread at a time may call.
  int serialized;
  char description[640];
};

extern struct cmpi_state cmpi;

/// All functions that are called, without `MPI_`.
#define CMPI_FUNCTIONS(X) \
  X(Init_thread) X(Finalize) X(Abort) X(Comm_rank) X(Comm_size) X(Comm_set_errhandler) \
  X(Error_string) X(Get_library_version) X(Alltoallv) X(Ialltoallv) X(Test)
#define CMPI_MEMBER(name) void *name;
extern struct cmpi_functions {
  CMPI_FUNCTIONS(CMPI_MEMBER)
} cmpi_functions;

/// Keeps a reason for `cmpi_message`; returns 1.
int cmpi_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

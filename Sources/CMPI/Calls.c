#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "CMPI.h"
#include "Library.h"

// Every call once for each width of a handle. A number of 32 bits passed where a pointer is expected
// would work on x86-64 and arm64 only by luck of their calling conventions.
#define DEFINE(H, member) \
  static int rank_##member(int *rank) { \
    return ((int (*)(H, int *))cmpi_functions.Comm_rank)(cmpi.world.member, rank); \
  } \
  static int size_##member(int *size) { \
    return ((int (*)(H, int *))cmpi_functions.Comm_size)(cmpi.world.member, size); \
  } \
  static int return_errors_##member(void) { \
    return ((int (*)(H, H))cmpi_functions.Comm_set_errhandler)( \
        cmpi.world.member, cmpi.errors_return.member); \
  } \
  static int abort_##member(int code) { \
    return ((int (*)(H, int))cmpi_functions.Abort)(cmpi.world.member, code); \
  } \
  static int exchange_##member( \
      cmpi_handle type, const void *send, const int *send_counts, const int *send_offsets, \
      void *receive, const int *receive_counts, const int *receive_offsets) { \
    return ((int (*)( \
        const void *, const int *, const int *, H, void *, const int *, const int *, H, \
        H))cmpi_functions.Alltoallv)( \
        send, send_counts, send_offsets, type.member, receive, receive_counts, receive_offsets, \
        type.member, cmpi.world.member); \
  } \
  static int begin_##member( \
      int place, cmpi_handle type, const void *send, const int *send_counts, const int *send_offsets, \
      void *receive, const int *receive_counts, const int *receive_offsets) { \
    return ((int (*)( \
        const void *, const int *, const int *, H, void *, const int *, const int *, H, H, \
        H *))cmpi_functions.Ialltoallv)( \
        send, send_counts, send_offsets, type.member, receive, receive_counts, receive_offsets, \
        type.member, cmpi.world.member, &cmpi.requests[place].member); \
  } \
  static int test_##member(int place, int *done) { \
    return ((int (*)(H *, int *, void *))cmpi_functions.Test)( \
        &cmpi.requests[place].member, done, cmpi.status_ignore); \
  }
DEFINE(int, integer)
DEFINE(void *, pointer)
#define CALL(name, ...) \
  (cmpi.interface == CMPI_MPICH ? name##_integer(__VA_ARGS__) : name##_pointer(__VA_ARGS__))

static int check(int code, const char *what) {
  if (!code) return 0;
  char text[8192] = "";
  int length = 0;
  ((int (*)(int, char *, int *))cmpi_functions.Error_string)(code, text, &length);
  return cmpi_fail("%s failed on rank %d: %.1000s", what, cmpi.rank, text);
}

int cmpi_start(int *rank, int *size) {
  // Over TCP Open MPI, and UCX below MPICH, send a long message as one "put". Two ranks that exchange 16 MB
  // then take turns, and UCX hides nothing of it behind the computing; as fragments both directions run
  // at once. What a user has set stays.
  if (cmpi.interface == CMPI_OPEN_MPI) setenv("OMPI_MCA_btl_tcp_flags", "send", 0);
  if (cmpi.interface != CMPI_OPEN_MPI) setenv("UCX_TCP_PUT_ENABLE", "n", 0);
  int level = -1;
  int code = ((int (*)(int *, char ***, int, int *))cmpi_functions.Init_thread)(
      NULL, NULL, cmpi.serialized, &level);
  if (code) return cmpi_fail("%s did not start (error %d)", cmpi.description, code);
  atomic_store(&cmpi.is_started, true);
  if (CALL(return_errors) || CALL(rank, rank) || CALL(size, size))
    return cmpi_fail("%s does not tell rank and size", cmpi.description);
  cmpi.rank = *rank;
  return level < cmpi.serialized
             ? cmpi_fail("%s lets only its first thread call", cmpi.description)
             : 0;
}

int cmpi_exchange(
    int width, const void *send, const int *send_counts, const int *send_offsets, void *receive,
    const int *receive_counts, const int *receive_offsets) {
  return check(
      CALL(
          exchange, width == 4 ? cmpi.real : cmpi.byte, send, send_counts, send_offsets, receive,
          receive_counts, receive_offsets),
      "an exchange");
}

int cmpi_begin(
    int place, int width, const void *send, const int *send_counts, const int *send_offsets, void *receive,
    const int *receive_counts, const int *receive_offsets) {
  return check(
      CALL(
          begin, place, width == 4 ? cmpi.real : cmpi.byte, send, send_counts, send_offsets, receive,
          receive_counts, receive_offsets),
      "an exchange");
}

int cmpi_test(int place, int *done) { return check(CALL(test, place, done), "an exchange"); }

void cmpi_abort(int code) {
  if (atomic_load(&cmpi.is_started)) CALL(abort, code);
}

int cmpi_finish(void) {
  if (!atomic_exchange(&cmpi.is_started, false)) return 0;
  return check(((int (*)(void))cmpi_functions.Finalize)(), "the end");
}

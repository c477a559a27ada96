#pragma once

// MPI without an MPI at build time: the library is opened while the program runs. Three binary
// interfaces are known: that of Open MPI, that of MPICH (Intel MPI, MVAPICH, Cray), and the standard
// one of MPI 5. What is needed of them is declared here; no mpi.h is read.
//
// Functions return 0, or another number with the reason in `cmpi_message`. One thread at a time may
// call, except for `cmpi_abort`.

/// Opens a library, a path or a name that the loader searches for, and finds out its interface.
int cmpi_open(const char *path);

/// Starts the library; errors are returned from then on, not fatal.
///
/// - `rank`, `size`: What the library says of this process.
int cmpi_start(int *rank, int *size);

/// Version and path of the library, once it is open.
const char *cmpi_library(void);

/// Why the last call failed.
const char *cmpi_message(void);

/// Sends a part of `send` to every rank and takes one from every rank, the own one left out.
///
/// - `width`: Bytes of an element, 1 or 4.
/// - Counts and offsets: In elements, one for every rank; those of the own rank are 0.
int cmpi_exchange(
    int width, const void *send, const int *send_counts, const int *send_offsets, void *receive,
    const int *receive_counts, const int *receive_offsets);

/// Exchanges that can be under way at once.
#define CMPI_PLACES 4

/// The same without waiting for its end; nothing given may be touched before `cmpi_test` has said so.
///
/// - `place`: From 0, which no exchange under way has.
int cmpi_begin(
    int place, int width, const void *send, const int *send_counts, const int *send_offsets, void *receive,
    const int *receive_counts, const int *receive_offsets);

/// Goes on with what was begun.
///
/// - `place`: What `cmpi_begin` was given.
/// - `done`: 1 once all of it is sent and received.
int cmpi_test(int place, int *done);

/// Ends all ranks with this exit code. Returns only where the library was never started.
void cmpi_abort(int code);

/// Ends the library once all ranks have called it.
int cmpi_finish(void);

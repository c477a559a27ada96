#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake.h"

/// Ranks of one host, which pass each other files in the folder that the id names.
struct ncclComm {
  char folder[100];
  int rank, size;
  volatile bool is_aborted;
  volatile ncclResult_t error;
  CUstream stuck;
  _Atomic int running;
  unsigned sent[64], received[64];
};

/// What a group will do once it ends.
typedef struct {
  void *memory;
  size_t bytes;
  int peer;
  bool sends;
  unsigned number;
} Part;

typedef struct {
  ncclComm_t communicator;
  CUstream stream;
  int count;
  Part parts[128];
} Group;

static _Thread_local Group group;
static _Thread_local int depth;
static char last_error[160];

const char *ncclGetErrorString(ncclResult_t result) {
  return result == ncclRemoteError ? "remote process exited or there was a network error" : "as told";
}

const char *ncclGetLastError(ncclComm_t communicator) { return last_error; }

ncclResult_t ncclGetVersion(int *version) { BEGIN; *version = settings.nccl; return 0; }

ncclResult_t ncclGetUniqueId(ncclUniqueId *id) {
  BEGIN;
  memset(id, 0, sizeof *id);
  // Beside the library, in the folder of a test, which takes it away at its end.
  Dl_info self;
  if (!dladdr((void *)ncclGetUniqueId, &self)) return ncclSystemError;
  int folder = strrchr(self.dli_fname, '/') - self.dli_fname;
  if (snprintf(id->internal, 100, "%.*s/nccl.XXXXXX", folder, self.dli_fname) >= 100)
    misuse("no room in an id for %s", self.dli_fname);
  return mkdtemp(id->internal) ? 0 : ncclSystemError;
}

/// A file appears with all that is in it, or not at all.
static bool put(const char *path, const void *bytes, size_t count) {
  char partial[200];
  snprintf(partial, sizeof partial, "%s.partial", path);
  FILE *file = fopen(partial, "w");
  bool is_whole = file && fwrite(bytes, 1, count, file) == count;
  if (file) fclose(file);
  return is_whole && !rename(partial, path);
}

/// Waits for a file, as the real one does without an end.
static bool take(ncclComm_t communicator, const char *path, void *bytes, size_t count) {
  FILE *file;
  while (!(file = fopen(path, "r"))) {
    if (communicator->is_aborted) return false;
    usleep(200);
  }
  bool is_whole = fread(bytes, 1, count, file) == count && fgetc(file) == EOF;
  fclose(file);
  if (!is_whole) misuse("rank %d was sent another count than %zu bytes", communicator->rank, count);
  return true;
}

ncclResult_t ncclCommInitRank(ncclComm_t *made, int size, ncclUniqueId id, int rank) {
  BEGIN;
  if (rank < 0 || rank >= size || size > 64) return ncclInvalidArgument;
  ncclComm_t communicator = calloc(1, sizeof *communicator);
  snprintf(communicator->folder, sizeof communicator->folder, "%.99s", id.internal);
  communicator->rank = rank, communicator->size = size;
  int card = current_card(), cards[64];
  if (card < 0) misuse("%s without a context", __func__);
  char path[180];
  snprintf(path, sizeof path, "%s/card-%d", communicator->folder, rank);
  if (!put(path, &card, sizeof card)) return ncclSystemError;
  for (int other = 0; other < size; other++) {
    snprintf(path, sizeof path, "%s/card-%d", communicator->folder, other);
    take(communicator, path, &cards[other], sizeof card);
    if (other != rank && cards[other] == card) {
      snprintf(last_error, sizeof last_error, "Duplicate GPU detected : rank %d and rank %d", rank, other);
      return ncclInvalidUsage;
    }
  }
  *made = communicator;
  return 0;
}

ncclResult_t ncclCommDestroy(ncclComm_t communicator) { BEGIN; free(communicator); return 0; }

ncclResult_t ncclCommAbort(ncclComm_t communicator) {
  BEGIN;
  communicator->is_aborted = true;
  if (communicator->stuck) end_pending(communicator->stuck);
  // What runs for it may still read the memory of the card.
  while (communicator->running) usleep(100);
  return 0;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t communicator, ncclResult_t *result) {
  BEGIN;
  *result = communicator->error;
  return 0;
}

ncclResult_t ncclGroupStart(void) {
  BEGIN;
  if (!depth++) group = (Group){0};
  return 0;
}

static ncclResult_t add(Part part, ncclComm_t communicator, CUstream stream) {
  if (!depth) misuse("NCCL is used outside of a group");
  if (!has_context() || !stream) misuse("NCCL without a context or on the default stream");
  if (!part.bytes || part.peer < 0 || part.peer >= communicator->size) return ncclInvalidArgument;
  if (!is_on_card(part.memory, part.bytes))
    misuse("NCCL at %p of %zu bytes, which the card has not", part.memory, part.bytes);
  if (group.count == 128) misuse("a group of more than 128 parts");
  group.communicator = communicator, group.stream = stream;
  part.number = part.sends ? communicator->sent[part.peer]++ : communicator->received[part.peer]++;
  group.parts[group.count++] = part;
  return 0;
}

ncclResult_t ncclSend(const void *from, size_t count, ncclDataType_t type, int peer,
                      ncclComm_t communicator, cudaStream_t stream) {
  BEGIN;
  if (type != ncclFloat32) return ncclInvalidArgument;
  return add((Part){(void *)from, 4 * count, peer, true, 0}, communicator, stream);
}

ncclResult_t ncclRecv(void *to, size_t count, ncclDataType_t type, int peer,
                      ncclComm_t communicator, cudaStream_t stream) {
  BEGIN;
  if (type != ncclFloat32) return ncclInvalidArgument;
  return add((Part){to, 4 * count, peer, false, 0}, communicator, stream);
}

/// What a group returns that hangs.
enum { LOST_FOR_EVER = 99 };

/// Does a group; the stream goes on when it is done.
static void *run(void *given) {
  Group *work = given;
  ncclComm_t communicator = work->communicator;
  char path[200];
  for (int sends = 1; sends >= 0; sends--) {
    for (int n = 0; n < work->count; n++) {
      Part *part = &work->parts[n];
      if (part->sends != (bool)sends) continue;
      int from = sends ? communicator->rank : part->peer;
      int to = sends ? part->peer : communicator->rank;
      snprintf(path, sizeof path, "%s/%d-to-%d-%u", communicator->folder, from, to, part->number);
      if (sends) {
        if (!put(path, part->memory, part->bytes)) communicator->error = ncclSystemError;
      } else if (take(communicator, path, part->memory, part->bytes)) {
        unlink(path);
      }
    }
  }
  end_pending(work->stream);
  communicator->running--;
  free(work);
  return 0;
}

ncclResult_t ncclGroupEnd(void) {
  unsigned code = called(__func__);
  if (!depth) misuse("a group ends that was not begun");
  if (--depth) return code;
  if (!group.count) return 0;
  if (code == ncclRemoteError || code == LOST_FOR_EVER) {
    // The others are lost: nothing comes, and that is found out later or never.
    if (code == ncclRemoteError) group.communicator->error = ncclRemoteError;
    begin_pending(group.communicator->stuck = group.stream);
    return 0;
  }
  if (code) return code;
  Group *work = malloc(sizeof *work);
  *work = group;
  begin_pending(work->stream);
  work->communicator->running++;
  pthread_t thread;
  if (pthread_create(&thread, 0, run, work)) misuse("no thread");
  pthread_detach(thread);
  return 0;
}

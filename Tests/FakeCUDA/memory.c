#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fake.h"

/// A piece of the card's memory; behind it is a page that nobody may touch.
typedef struct Piece {
  unsigned char *start;
  size_t bytes;
  void *map;
  size_t map_bytes;
  struct Piece *next;
} Piece;

static Piece *pieces;
static size_t live, peak, pinned;
static long piece_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

bool is_on_card(const void *address, size_t bytes) {
  bool found = false;
  pthread_mutex_lock(&lock);
  for (Piece *piece = pieces; piece && !found; piece = piece->next)
    found = (const unsigned char *)address >= piece->start &&
            (const unsigned char *)address + bytes <= piece->start + piece->bytes;
  pthread_mutex_unlock(&lock);
  return found;
}

long live_bytes(void) { return (long)live; }
long peak_bytes(void) { return (long)peak; }
long live_pieces(void) { return piece_count; }
long pinned_bytes(void) { return (long)pinned; }

static CUresult take(CUdeviceptr *address, size_t bytes) {
  if (!has_context()) return 201;
  if (!bytes) return 1;
  size_t rounded = (bytes + 511) / 512 * 512, page = 4096;
  pthread_mutex_lock(&lock);
  bool fits = live + rounded <= settings.memory;
  if (fits) live += rounded, piece_count++;
  if (live > peak) peak = live;
  pthread_mutex_unlock(&lock);
  if (!fits) return CUDA_ERROR_OUT_OF_MEMORY;
  size_t whole = (rounded + page - 1) / page * page;
  void *map = mmap(0, whole + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) misuse("the host has no memory");
  mprotect((char *)map + whole, page, PROT_NONE);
  Piece *piece = malloc(sizeof *piece);
  *piece = (Piece){(unsigned char *)map + whole - rounded, rounded, map, whole + page, 0};
  memset(piece->start, 0xff, rounded);
  pthread_mutex_lock(&lock);
  piece->next = pieces, pieces = piece;
  pthread_mutex_unlock(&lock);
  *address = (CUdeviceptr)(uintptr_t)piece->start;
  return 0;
}

static CUresult give(CUdeviceptr address) {
  pthread_mutex_lock(&lock);
  Piece **link = &pieces;
  while (*link && (CUdeviceptr)(uintptr_t)(*link)->start != address) link = &(*link)->next;
  Piece *piece = *link;
  if (!piece) misuse("%llx is given back and was not taken", address);
  *link = piece->next;
  live -= piece->bytes, piece_count--;
  pthread_mutex_unlock(&lock);
  munmap(piece->map, piece->map_bytes);
  free(piece);
  return 0;
}

CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes) { BEGIN; return take(address, bytes); }
CUresult cuMemFree_v2(CUdeviceptr address) { BEGIN; return give(address); }

CUresult cuMemAllocAsync(CUdeviceptr *address, size_t bytes, CUstream stream) {
  BEGIN;
  if (!settings.pools) return 801;
  return stream ? take(address, bytes) : 400;
}

CUresult cuMemFreeAsync(CUdeviceptr address, CUstream stream) {
  // Also of a lost card the memory goes: the host would leak it.
  unsigned code = called(__func__);
  if (!stream) return 400;
  give(address);
  return code;
}

CUresult cuMemGetInfo_v2(size_t *free, size_t *total) {
  BEGIN;
  *free = settings.memory - live, *total = settings.memory;
  return 0;
}

static int pool;

CUresult cuDeviceGetDefaultMemPool(CUmemoryPool *handle, CUdevice device) {
  BEGIN;
  if (!settings.pools) return 801;
  *handle = (CUmemoryPool)&pool;
  return 0;
}

CUresult cuMemPoolSetAttribute(CUmemoryPool handle, CUmemPool_attribute attribute, void *value) {
  BEGIN;
  return handle == (CUmemoryPool)&pool && attribute == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD ? 0 : 1;
}

CUresult cuMemPoolGetAttribute(CUmemoryPool handle, CUmemPool_attribute attribute, void *value) {
  BEGIN;
  *(uint64_t *)value = live;
  return handle == (CUmemoryPool)&pool ? 0 : 1;
}

CUresult cuMemPoolTrimTo(CUmemoryPool handle, size_t bytes) { BEGIN; return 0; }

CUresult cuMemHostAlloc(void **address, size_t bytes, unsigned flags) {
  BEGIN;
  *address = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
  pinned += bytes;
  return 0;
}

CUresult cuMemFreeHost(void *address) {
  called(__func__);
  free(address);
  pinned = 0;
  return 0;
}

#define MUST_BE_ON_CARD(address, bytes)                                                  \
  if (!has_context()) return 201;                                                        \
  if (!stream) misuse("%s on the default stream", __func__);                             \
  wait_for(stream);                                                                      \
  if (!is_on_card((void *)(uintptr_t)(address), bytes))                                  \
    misuse("%s of %zu bytes at %llx, which the card has not", __func__, (size_t)(bytes), \
           (unsigned long long)(address));

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream) {
  BEGIN;
  MUST_BE_ON_CARD(to, bytes)
  memcpy((void *)(uintptr_t)to, from, bytes);
  return 0;
}

CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream) {
  BEGIN;
  MUST_BE_ON_CARD(from, bytes)
  memcpy(to, (void *)(uintptr_t)from, bytes);
  return 0;
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
  BEGIN;
  MUST_BE_ON_CARD(from, bytes)
  MUST_BE_ON_CARD(to, bytes)
  memmove((void *)(uintptr_t)to, (void *)(uintptr_t)from, bytes);
  return 0;
}

CUresult cuMemsetD32Async(CUdeviceptr address, unsigned word, size_t count, CUstream stream) {
  BEGIN;
  MUST_BE_ON_CARD(address, 4 * count)
  for (size_t n = 0; n < count; n++) ((unsigned *)(uintptr_t)address)[n] = word;
  return 0;
}

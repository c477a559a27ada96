#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake.h"

Settings settings = {.cards = 1,
                     .capability = 90,
                     .pools = 1,
                     .version = 13000,
                     .memory = (size_t)1 << 33,
                     .known = {80, 86, 89, 90, 100},
                     .known_count = 5,
                     .algorithms = {1},
                     .algorithm_count = 1,
                     .nccl = 22703};

typedef struct {
  char name[48];
  long calls, fail_at;  // fail_at: number of the call that fails; -1: all
  unsigned code;
} Function;

static Function functions[128];
static int function_count;
static unsigned lost;  // what every call returns from now on
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static Function *find(const char *name) {
  for (int n = 0; n < function_count; n++)
    if (!strcmp(functions[n].name, name)) return &functions[n];
  if (function_count == 128) misuse("more functions than there is room for");
  Function *made = &functions[function_count++];
  snprintf(made->name, sizeof made->name, "%s", name);
  return made;
}

static void numbers(char *text, int *values, int *count) {
  *count = 0;
  for (char *rest, *part = strtok_r(text, ":", &rest); part && *count < 16;
       part = strtok_r(0, ":", &rest))
    values[(*count)++] = atoi(part);
}

static void tell(char *name, char *value) {
  if (!strcmp(name, "cards")) settings.cards = atoi(value);
  else if (!strcmp(name, "capability")) settings.capability = atoi(value);
  else if (!strcmp(name, "pools")) settings.pools = atoi(value);
  else if (!strcmp(name, "version")) settings.version = atoi(value);
  else if (!strcmp(name, "nccl")) settings.nccl = atoi(value);
  else if (!strcmp(name, "memory")) settings.memory = strtoull(value, 0, 10);
  else if (!strcmp(name, "known")) numbers(value, settings.known, &settings.known_count);
  else if (!strcmp(name, "algorithms"))
    numbers(value, settings.algorithms, &settings.algorithm_count);
  else if (!strcmp(name, "broken")) snprintf(settings.broken, sizeof settings.broken, "%s", value);
  else if (!strcmp(name, "report")) snprintf(settings.report, sizeof settings.report, "%s", value);
  else {
    Function *function = find(name);
    char *at = strchr(value, '@');
    function->code = (unsigned)atoi(value);
    function->fail_at = !function->code ? 0 : at ? function->calls + atoi(at + 1) : -1;
  }
}

void fake_cuda_tell(const char *instructions) {
  char *copy = strdup(instructions);
  pthread_mutex_lock(&lock);
  for (char *rest, *part = strtok_r(copy, " ", &rest); part; part = strtok_r(0, " ", &rest)) {
    char *value = strchr(part, '=');
    if (!value) misuse("instruction \"%s\" without a value", part);
    *value++ = 0;
    // For one rank alone.
    char *at = strchr(part, '/');
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    if (at) {
      *at = 0;
      if (!rank || strcmp(at + 1, rank)) continue;
    }
    tell(part, value);
  }
  pthread_mutex_unlock(&lock);
  free(copy);
}

__attribute__((constructor)) static void begin(void) {
  const char *told = getenv("FAKE_CUDA");
  if (told) fake_cuda_tell(told);
}

__attribute__((destructor)) static void end(void) {
  FILE *file = *settings.report ? fopen(settings.report, "w") : 0;
  if (!file) return;
  fprintf(file, "%ld\n", peak_bytes());
  fclose(file);
}

/// Errors after which nothing else works.
static bool is_final(unsigned code) {
  return code == 4 || code == 46 || code == 214 || code == 700 || code == 709 ||
         (code >= 714 && code <= 719) || code == 999;
}

unsigned called(const char *name) {
  pthread_mutex_lock(&lock);
  Function *function = find(name);
  function->calls++;
  unsigned code =
      function->fail_at == -1 || function->fail_at == function->calls ? function->code : 0;
  bool is_driver = name[0] == 'c' && name[1] == 'u' && name[2] != 'b';
  // Names of errors can still be asked for.
  if (!code && lost && is_driver && !strstr(name, "Error") && strcmp(name, "cuCtxSetCurrent"))
    code = lost;
  if (!lost && is_driver && is_final(code)) lost = code;
  pthread_mutex_unlock(&lock);
  return code;
}

long fake_cuda_count(const char *name) {
  if (!strcmp(name, "live")) return live_bytes();
  if (!strcmp(name, "peak")) return peak_bytes();
  if (!strcmp(name, "pieces")) return live_pieces();
  if (!strcmp(name, "pinned")) return pinned_bytes();
  pthread_mutex_lock(&lock);
  long calls = find(name)->calls;
  pthread_mutex_unlock(&lock);
  return calls;
}

void misuse(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "fake CUDA: ");
  vfprintf(stderr, format, arguments);
  fprintf(stderr, "\n");
  va_end(arguments);
  abort();
}

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake.h"

/// What is compiled; the image names it for the emulator.
struct _nvrtcProgram {
  char file[64], image[512], log[512];
  bool is_done;
};

const char *nvrtcGetErrorString(nvrtcResult result) {
  return result == NVRTC_ERROR_COMPILATION ? "NVRTC_ERROR_COMPILATION" : "NVRTC_ERROR_AS_TOLD";
}

nvrtcResult nvrtcVersion(int *major, int *minor) { BEGIN; *major = 13, *minor = 0; return 0; }
nvrtcResult nvrtcGetNumSupportedArchs(int *count) { BEGIN; *count = settings.known_count; return 0; }

nvrtcResult nvrtcGetSupportedArchs(int *architectures) {
  BEGIN;
  memcpy(architectures, settings.known, sizeof(int) * (size_t)settings.known_count);
  return 0;
}

nvrtcResult nvrtcCreateProgram(nvrtcProgram *program, const char *source, const char *name,
                               int headerCount, const char *const *headers,
                               const char *const *headerNames) {
  BEGIN;
  // The real one finds headers by the names that the text includes.
  for (const char *at = source; (at = strstr(at, "#include \"")); at++) {
    bool found = false;
    for (int n = 0; n < headerCount; n++) {
      size_t length = strlen(headerNames[n]);
      found |= !strncmp(at + 10, headerNames[n], length) && at[10 + length] == '"' && headers[n][0];
    }
    if (!found) misuse("%s includes what it was not given: %.40s", name, at);
  }
  *program = calloc(1, sizeof **program);
  snprintf((*program)->file, sizeof(*program)->file, "%s", name);
  return 0;
}

nvrtcResult nvrtcDestroyProgram(nvrtcProgram *program) {
  called(__func__);
  free(*program);
  *program = 0;
  return 0;
}

nvrtcResult nvrtcCompileProgram(nvrtcProgram program, int optionCount, const char *const *options) {
  BEGIN;
  char target[32] = "", name[256];
  snprintf(name, sizeof name, "%.*s", (int)strlen(program->file) - 3, program->file);
  for (int n = 0; n < optionCount; n++) {
    size_t length = strlen(name);
    if (!strncmp(options[n], "--gpu-architecture=", 19))
      snprintf(target, sizeof target, "%s", options[n] + 19);
    else if (!strncmp(options[n], "-D", 2))
      snprintf(name + length, sizeof name - length, "/%s", options[n] + 2);
    else if (strcmp(options[n], "--std=c++17"))
      return NVRTC_ERROR_INVALID_OPTION;
  }
  if (settings.broken[0] && !strncmp(program->file, settings.broken, strlen(settings.broken))) {
    for (int line = 1; line <= 12; line++)
      snprintf(program->log + strlen(program->log), 40, "%s(%d): error: told so\n", program->file, line);
    return NVRTC_ERROR_COMPILATION;
  }
  snprintf(program->image, sizeof program->image, "fake %s %s", target, name);
  program->is_done = true;
  return 0;
}

nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram program, size_t *bytes) {
  BEGIN;
  *bytes = strlen(program->log) + 1;
  return 0;
}

nvrtcResult nvrtcGetProgramLog(nvrtcProgram program, char *text) {
  BEGIN;
  strcpy(text, program->log);
  return 0;
}

static nvrtcResult size(nvrtcProgram program, size_t *bytes) {
  *bytes = strlen(program->image) + 1;
  return program->is_done ? 0 : 4;
}

static nvrtcResult bytes(nvrtcProgram program, char *image) {
  strcpy(image, program->image);
  return program->is_done ? 0 : 4;
}

nvrtcResult nvrtcGetCUBINSize(nvrtcProgram p, size_t *count) { BEGIN; return size(p, count); }
nvrtcResult nvrtcGetCUBIN(nvrtcProgram p, char *image) { BEGIN; return bytes(p, image); }
nvrtcResult nvrtcGetPTXSize(nvrtcProgram p, size_t *count) { BEGIN; return size(p, count); }
nvrtcResult nvrtcGetPTX(nvrtcProgram p, char *text) { BEGIN; return bytes(p, text); }

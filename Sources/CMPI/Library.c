#define _GNU_SOURCE
#include "Library.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "CMPI.h"

struct cmpi_state cmpi;
struct cmpi_functions cmpi_functions;
static char message[1536];

int cmpi_fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  return 1;
}

const char *cmpi_message(void) { return message; }

const char *cmpi_library(void) { return cmpi.description; }

/// Version and path, on one line.
static void describe(const char *version) {
  Dl_info place = {0};
  dladdr(cmpi_functions.Init_thread, &place);
  snprintf(
      cmpi.description, sizeof cmpi.description, "%.256s (%.320s)", version,
      place.dli_fname ? place.dli_fname : "?");
}

static void set_standard(void) {
  cmpi.interface = CMPI_STANDARD;
  cmpi.world.pointer = (void *)0x101;
  cmpi.byte.pointer = (void *)0x247;
  cmpi.real.pointer = (void *)0x210;
  cmpi.errors_return.pointer = (void *)0x143;
  cmpi.serialized = 2048;
}

/// Handles are addresses of objects that the library exports.
static int set_open_mpi(void) {
  cmpi.interface = CMPI_OPEN_MPI;
  cmpi.world.pointer = dlsym(cmpi.handle, "ompi_mpi_comm_world");
  cmpi.byte.pointer = dlsym(cmpi.handle, "ompi_mpi_byte");
  cmpi.real.pointer = dlsym(cmpi.handle, "ompi_mpi_float");
  cmpi.errors_return.pointer = dlsym(cmpi.handle, "ompi_mpi_errors_return");
  cmpi.serialized = 2;
  return cmpi.byte.pointer && cmpi.real.pointer && cmpi.errors_return.pointer
             ? 0
             : cmpi_fail("%s does not export its types", cmpi.description);
}

static void set_mpich(void) {
  cmpi.interface = CMPI_MPICH;
  cmpi.world.integer = 0x44000000;
  cmpi.byte.integer = 0x4c00010d;
  cmpi.real.integer = 0x4c00040a;
  cmpi.errors_return.integer = 0x54000001;
  cmpi.status_ignore = (void *)1;
  cmpi.serialized = 2;
}

int cmpi_open(const char *path) {
  // RTLD_NOW: a library that lacks a part of itself is refused here and not in step 7,000.
  // RTLD_GLOBAL: plugins of some builds of Open MPI expect its symbols.
  cmpi.handle = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
  if (!cmpi.handle) {
    const char *reason = dlerror();
    return cmpi_fail("%.1000s", reason ? reason : path);
  }
#define FIND(name) \
  if (!(cmpi_functions.name = dlsym(cmpi.handle, "MPI_" #name))) \
    return cmpi_fail("%.1000s has no function MPI_" #name, path);
  CMPI_FUNCTIONS(FIND)

  // The interface is told by what the library says and exports, never by its file name. The function
  // below is also in libraries of another interface, where it answers -1.
  int (*abi_version)(int *, int *) =
      (int (*)(int *, int *))dlsym(cmpi.handle, "MPI_Abi_get_version");
  int major = -1, minor = -1;
  if (abi_version && abi_version(&major, &minor)) major = -1;
  char version[8192] = "";
  int length = 0;
  ((int (*)(char *, int *))cmpi_functions.Get_library_version)(version, &length);
  version[strcspn(version, "\n")] = 0;
  for (char *c = version; *c; ++c)
    if (*c == '\t') *c = ' ';
  describe(version);
  if (major >= 1) return set_standard(), 0;
  if (dlsym(cmpi.handle, "ompi_mpi_comm_world")) return set_open_mpi();
  if (strstr(version, "MPICH") || strstr(version, "Intel(R) MPI") || strstr(version, "MVAPICH"))
    return set_mpich(), 0;
  return cmpi_fail("%s is an MPI library of an unknown kind", cmpi.description);
}

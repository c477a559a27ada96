// The Python files that stand beside the weights of a checkpoint, for other programs.
#ifndef PYTHON_SOURCE_H
#define PYTHON_SOURCE_H

/// One file and its text.
typedef struct {
  const char *name;
  const char *text;
} PythonSourceFile;

/// Every file; `count` is set to their number.
const PythonSourceFile *python_source_files(int *count);

#endif

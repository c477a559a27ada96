// The text of every Python file.
#include "python_source.h"

#pragma clang diagnostic ignored "-Wc23-extensions"

static const char decoder_py[] = {
#embed "models/decoder.py"
    , 0};
static const char softmax_attention_py[] = {
#embed "models/softmax_attention.py"
    , 0};
static const char hierarchical_attention_py[] = {
#embed "models/hierarchical_attention.py"
    , 0};
static const char yoso_attention_py[] = {
#embed "models/yoso_attention.py"
    , 0};
static const char combiner_attention_py[] = {
#embed "models/combiner_attention.py"
    , 0};
static const char window_attention_py[] = {
#embed "models/window_attention.py"
    , 0};

static const char file_tokenizer_py[] = {
#embed "models/file_tokenizer.py"
    , 0};

static const PythonSourceFile files[] = {
    {"decoder.py", decoder_py},
    {"softmax_attention.py", softmax_attention_py},
    {"hierarchical_attention.py", hierarchical_attention_py},
    {"yoso_attention.py", yoso_attention_py},
    {"combiner_attention.py", combiner_attention_py},
    {"window_attention.py", window_attention_py},
    {"file_tokenizer.py", file_tokenizer_py},
};

const PythonSourceFile *python_source_files(int *count) {
  *count = (int)(sizeof files / sizeof files[0]);
  return files;
}

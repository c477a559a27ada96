// C interface to libsentencepiece: load, encode, decode, look at pieces, train.
//
// Functions that can fail return NULL on success and otherwise a message allocated with malloc,
// which the caller frees. No C++ exception leaves them. Buffers belong to the caller, start as
// all zeros, grow by realloc and are freed with free(). A loaded model never changes, so any
// number of threads may use it at once.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct csp_model csp_model;

/// Growable array of piece ids.
typedef struct {
  int32_t *items;
  size_t count;
  size_t capacity;
} csp_ids;

/// Growable array of bytes.
typedef struct {
  char *items;
  size_t count;
  size_t capacity;
} csp_bytes;

/// Loads a model from its serialised form.
char *csp_load(const void *bytes, size_t count, csp_model **model);
void csp_release(csp_model *model);

/// Replaces the contents of `ids` by the ids of a text.
char *csp_encode(const csp_model *model, const char *text, size_t count, csp_ids *ids);

/// Replaces the contents of `text` by what the ids spell.
char *csp_decode(const csp_model *model, const int32_t *ids, size_t count, csp_bytes *text);

int32_t csp_piece_count(const csp_model *model);
int32_t csp_unknown_id(const csp_model *model);
int32_t csp_begin_id(const csp_model *model);
int32_t csp_end_id(const csp_model *model);

/// Bytes of a piece, owned by the model; `id` must lie in `0 ..< csp_piece_count`.
const char *csp_piece(const csp_model *model, int32_t id, size_t *count);
float csp_score(const csp_model *model, int32_t id);
bool csp_is_control(const csp_model *model, int32_t id);
bool csp_is_unknown(const csp_model *model, int32_t id);
bool csp_is_byte(const csp_model *model, int32_t id);
bool csp_is_unused(const csp_model *model, int32_t id);

/// Hands out the next training sentence, or returns false at the end; the bytes must stay valid
/// until the next call.
typedef bool (*csp_next_sentence)(void *context, const char **text, size_t *count);

/// Trains a model with arguments as for spm_train ("--vocab_size=8000 ...") and replaces the
/// contents of `model` by its serialised form.
char *csp_train(const char *arguments, csp_next_sentence next, void *context, csp_bytes *model);

#ifdef __cplusplus
}
#endif

#include "CSentencePiece.h"

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <sstream>
#include <string>
#include <unordered_map>
#include <vector>

struct csp_model {
  sentencepiece::SentencePieceProcessor processor;
};

namespace {

const char *const kOutOfMemory = "out of memory";

char *message(const char *text) {
  char *copy = strdup(text);
  if (copy == nullptr) std::abort();
  return copy;
}

char *message(const sentencepiece::util::Status &status) {
  return status.ok() ? nullptr : message(status.error_message());
}

// Runs `body`, which returns a message or null, and turns exceptions into messages.
template <typename Body>
char *guarded(Body body) {
  try {
    return body();
  } catch (const std::bad_alloc &) {
    return message(kOutOfMemory);
  } catch (const std::exception &error) {
    return message(error.what());
  } catch (...) {
    return message("unknown C++ exception");
  }
}

template <typename Buffer, typename Item>
char *assign(Buffer *buffer, const Item *items, size_t count) {
  if (count > buffer->capacity) {
    size_t capacity = buffer->capacity * 2 > count ? buffer->capacity * 2 : count;
    void *grown = std::realloc(buffer->items, capacity * sizeof(Item));
    if (grown == nullptr) return message(kOutOfMemory);
    buffer->items = static_cast<Item *>(grown);
    buffer->capacity = capacity;
  }
  if (count > 0) std::memcpy(buffer->items, items, count * sizeof(Item));
  buffer->count = count;
  return nullptr;
}

// Splits "--key=value --key=value"; given as a map, the library does not print the arguments.
std::unordered_map<std::string, std::string> parse(const char *arguments) {
  std::unordered_map<std::string, std::string> values;
  std::istringstream stream(arguments);
  for (std::string item; stream >> item;) {
    size_t start = item.rfind("--", 0) == 0 ? 2 : 0;
    size_t equals = item.find('=', start);
    if (equals == std::string::npos) equals = item.size();
    values[item.substr(start, equals - start)] =
        equals < item.size() ? item.substr(equals + 1) : std::string("true");
  }
  return values;
}

class CallbackIterator : public sentencepiece::SentenceIterator {
 public:
  CallbackIterator(csp_next_sentence next, void *context) : next_(next), context_(context) {
    Next();
  }
  bool done() const override { return done_; }
  void Next() override {
    const char *text = nullptr;
    size_t count = 0;
    done_ = !next_(context_, &text, &count);
    if (!done_) value_.assign(text, count);
  }
  const std::string &value() const override { return value_; }
  sentencepiece::util::Status status() const override { return sentencepiece::util::Status(); }

 private:
  csp_next_sentence next_;
  void *context_;
  bool done_ = false;
  std::string value_;
};

}  // namespace

char *csp_load(const void *bytes, size_t count, csp_model **model) {
  *model = nullptr;
  return guarded([&]() -> char * {
    auto loaded = std::make_unique<csp_model>();
    char *failure = message(loaded->processor.LoadFromSerializedProto(
        absl::string_view(static_cast<const char *>(bytes), count)));
    if (failure == nullptr) *model = loaded.release();
    return failure;
  });
}

void csp_release(csp_model *model) { delete model; }

char *csp_encode(const csp_model *model, const char *text, size_t count, csp_ids *ids) {
  return guarded([&]() -> char * {
    std::vector<int> found;
    char *failure = message(model->processor.Encode(absl::string_view(text, count), &found));
    return failure != nullptr ? failure : assign(ids, found.data(), found.size());
  });
}

char *csp_decode(const csp_model *model, const int32_t *ids, size_t count, csp_bytes *text) {
  return guarded([&]() -> char * {
    std::string decoded;
    char *failure =
        message(model->processor.Decode(std::vector<int>(ids, ids + count), &decoded));
    return failure != nullptr ? failure : assign(text, decoded.data(), decoded.size());
  });
}

int32_t csp_piece_count(const csp_model *model) { return model->processor.GetPieceSize(); }
int32_t csp_unknown_id(const csp_model *model) { return model->processor.unk_id(); }
int32_t csp_begin_id(const csp_model *model) { return model->processor.bos_id(); }
int32_t csp_end_id(const csp_model *model) { return model->processor.eos_id(); }

const char *csp_piece(const csp_model *model, int32_t id, size_t *count) {
  const std::string &piece = model->processor.IdToPiece(id);
  *count = piece.size();
  return piece.data();
}

float csp_score(const csp_model *model, int32_t id) { return model->processor.GetScore(id); }
bool csp_is_control(const csp_model *model, int32_t id) { return model->processor.IsControl(id); }
bool csp_is_unknown(const csp_model *model, int32_t id) { return model->processor.IsUnknown(id); }
bool csp_is_byte(const csp_model *model, int32_t id) { return model->processor.IsByte(id); }
bool csp_is_unused(const csp_model *model, int32_t id) { return model->processor.IsUnused(id); }

char *csp_train(const char *arguments, csp_next_sentence next, void *context, csp_bytes *model) {
  return guarded([&]() -> char * {
    CallbackIterator sentences(next, context);
    std::string serialized;
    char *failure =
        message(sentencepiece::SentencePieceTrainer::Train(
        parse(arguments), &sentences, &serialized));
    return failure != nullptr ? failure : assign(model, serialized.data(), serialized.size());
  });
}

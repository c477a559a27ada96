package import Storage

/// Why text could not be turned into pieces.
package enum TokenizerError: Error, Equatable, Sendable {
  /// The file system refused, or something stands where the output should go.
  case storage(StorageError)

  /// A shard could not be written.
  case shard(String)

  /// The bytes are not a SentencePiece model.
  case unreadableModel(path: String, reason: String)

  /// The model cannot spell every text exactly, so no perplexity of its pieces would be honest.
  case lossyModel(path: String, reason: String)

  /// The model spells every text, but in a way that is not read here.
  case unsupportedModel(path: String, reason: String)

  /// libsentencepiece refused a text.
  case encoding(reason: String)

  /// libsentencepiece could not train a model.
  case training(reason: String)

  /// The text has fewer different pieces than were asked for.
  case vocabularyTooLarge(asked: Int, possible: Int?)

  /// The vocabulary has no room for bytes, markers and characters.
  case vocabularyTooSmall(asked: Int, reason: String)

  /// A line is not UTF-8; lines count from 1.
  case invalidUTF8(path: String, line: Int)

  /// A text that says it is in another encoding than UTF-8.
  case otherEncoding(path: String, found: String)

  /// A list of words that is none.
  case vocabulary(path: String, line: Int?, problem: String)

  /// A line is longer than memory should hold.
  case lineTooLong(path: String, limit: Int)

  /// A line or a word takes more memory than there is.
  case memory(MemoryShortage)

  /// A text file without a byte.
  case emptyText(path: String)

  /// No text where some was named.
  case noText(path: String, expected: String)

  /// Two files that hold the same part of the corpus.
  case duplicate(first: String, second: String)

  /// A `.gz` or `.zst` file that does not decode.
  case undecodable(path: String, reason: String)

  /// Options that do not go together.
  case options(String)

  /// The user pressed Ctrl-C.
  case interrupted
}

extension TokenizerError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .storage(let error):
      return error.description
    case .shard(let reason):
      return reason
    case .unreadableModel(let path, let reason):
      return "\(path) is not a SentencePiece model (\(reason))"
    case .lossyModel(let path, let reason):
      return "\(path) cannot spell every text exactly: \(reason); train one with lm-tokenize"
    case .unsupportedModel(let path, let reason):
      return "\(path) is of a kind that is not read here: \(reason); train one with lm-tokenize"
    case .encoding(let reason):
      return "a line could not be encoded: \(reason)"
    case .training(let reason):
      return "no tokenizer could be trained: \(reason)"
    case .vocabularyTooLarge(let asked, let possible):
      let limit = possible.map { "at most \($0)" } ?? "fewer"
      return "a vocabulary of \(asked) tokens was asked for but the training text yields \(limit);"
        + " give a smaller --vocab-size or more different text"
    case .vocabularyTooSmall(let asked, let reason):
      return "a vocabulary of \(asked) tokens is too small: \(reason)"
    case .invalidUTF8(let path, let line):
      return "\(path), line \(line): not valid UTF-8; convert the file, for example with iconv"
    case .otherEncoding(let path, let found):
      return "\(path) is \(found), expected UTF-8; convert it: iconv -f \(found) -t UTF-8"
    case .vocabulary(let path, let line, let problem):
      let place = line.map { ", line \($0)" } ?? ""
      return "\(path)\(place): \(problem); a list of words has one word a line, on demand with a "
        + "count behind it (lm-tokenize --write-vocabulary makes one)"
    case .lineTooLong(let path, let limit):
      return "\(path) has a line of more than \(limit) bytes; is it a text file?"
    case .memory(let shortage):
      return shortage.description
    case .emptyText(let path):
      return "\(path) is empty; remove it or give the right file"
    case .noText(let path, let expected):
      return "no text found in \(path): expected \(expected)"
    case .duplicate(let first, let second):
      return "\(first) and \(second) hold the same part of the corpus; remove one of them"
    case .undecodable(let path, let reason):
      return "could not decompress \(path): \(reason)"
    case .options(let sentence):
      return sentence
    case .interrupted:
      return "interrupted; nothing was written"
    }
  }
}

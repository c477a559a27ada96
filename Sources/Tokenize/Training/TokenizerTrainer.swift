import CSentencePiece
import Foundation

/// What kind of tokenizer to train.
package struct TokenizerRecipe: Equatable, Sendable {
  package var modelType: ModelType

  /// Pieces, with `<unk>`, `<s>`, `</s>` and 256 bytes among them.
  package var vocabularySize: Int

  /// Share of the characters of the text that become pieces; bytes spell the others.
  package var characterCoverage = 0.9995

  /// Whether the word `<UNK>` is one piece, never weighed against others.
  package var keepsUnknownWord = false

  package init(modelType: ModelType = .unigram, vocabularySize: Int = 16_000) {
    self.modelType = modelType
    self.vocabularySize = vocabularySize
  }
}

/// Trains SentencePiece models that spell every text exactly.
package enum TokenizerTrainer {
  /// Threads of the library; a constant, since the sums of the unigram trainer depend on it.
  private static let threads = 16

  /// Markers and bytes, which every vocabulary holds.
  private static let fixedPieces = 3 + 256

  /// Trains a model: the same sentences in the same order give the same bytes.
  ///
  /// Sentences too long for the library are cut, and what it keeps for itself is passed over, as
  /// ``TrainerText`` says.
  ///
  /// - Throws: ``TokenizerError/vocabularyTooLarge(asked:possible:)`` where the text is too
  ///   small: a vocabulary is never smaller than asked for.
  package static func train(
    _ recipe: TokenizerRecipe, sentences: [[UInt8]]
  ) throws(TokenizerError) -> SentencePieceModel {
    let fixed = fixedPieces + (recipe.keepsUnknownWord ? 1 : 0)
    guard recipe.vocabularySize > fixed else {
      throw .vocabularyTooSmall(
        asked: recipe.vocabularySize, reason: "\(fixed) are taken by bytes and markers")
    }
    guard sentences.contains(where: { $0.contains { $0 != 0x20 } }) else {
      throw .training(reason: "the text holds nothing but spaces")
    }
    let cursor = SentenceCursor(sentences)
    var model = csp_bytes()
    defer { free(model.items) }
    let failure = csp_train(
      arguments(for: recipe),
      { context, text, count in
        guard let context else { return false }
        return Unmanaged<SentenceCursor>.fromOpaque(context).takeUnretainedValue()
          .next(text, count)
      }, Unmanaged.passUnretained(cursor).toOpaque(), &model)
    withExtendedLifetime(cursor) {}
    if let reason = LibraryMessage.copyAndFree(failure) { throw error(for: reason, recipe) }
    let bytes = UnsafeBufferPointer(start: model.items, count: model.count)
    return try SentencePieceModel(
      serialized: bytes.map { UInt8(bitPattern: $0) }, path: "the trained model")
  }

  private static func arguments(for recipe: TokenizerRecipe) -> String {
    var arguments = [
      ("model_type", recipe.modelType.rawValue),
      ("vocab_size", "\(recipe.vocabularySize)"),
      ("character_coverage", "\(recipe.characterCoverage)"),
      ("byte_fallback", "true"),
      ("normalization_rule_name", "identity"),
      ("remove_extra_whitespaces", "false"),
      ("add_dummy_prefix", "true"),
      ("unk_id", "0"), ("bos_id", "1"), ("eos_id", "2"), ("pad_id", "-1"),
      ("max_sentence_length", "\(TrainerText.longestSentence)"),
      ("num_threads", "\(threads)"),
      // Only fatal errors: the library otherwise writes its progress to standard error.
      ("minloglevel", "3"),
    ]
    if recipe.keepsUnknownWord {
      // With its space in front, or every unknown word would be two pieces.
      let symbol = String(decoding: WordMarker.unknownWord, as: UTF8.self)
      arguments.append(("user_defined_symbols", symbol))
    }
    return arguments.map { "--\($0)=\($1)" }.joined(separator: " ")
  }

  /// What the library says, in words of this program: it knows no option and no file of its own.
  static func error(for reason: String, _ recipe: TokenizerRecipe) -> TokenizerError {
    let numbers = reason.components(separatedBy: "] ").last.map { text in
      text.split { !$0.isASCII || !$0.isNumber }.compactMap { Int($0) }
    }
    if reason.contains("Vocabulary size too high") {
      return .vocabularyTooLarge(asked: recipe.vocabularySize, possible: numbers?.dropFirst().first)
    }
    if reason.contains("smaller than required_chars") {
      return .vocabularyTooSmall(
        asked: recipe.vocabularySize,
        reason: numbers?.dropFirst().first.map {
          "bytes, markers and the characters of the text alone are \($0); give at least "
            + "--vocab-size \($0)"
        } ?? "it has no room for the characters of the text; give a larger --vocab-size")
    }
    if reason.contains("sentences_.empty()") {
      return .training(reason: "there is no text to train on")
    }
    if reason.contains("likelihood is NAN") {
      return .training(reason: "the probabilities of its pieces are no numbers; give other text")
    }
    return .training(reason: LibraryMessage.plain(reason))
  }
}

/// Hands sentences to the library one after the other.
private final class SentenceCursor {
  private let sentences: [[UInt8]]
  private var index = 0
  /// The parts of the sentence before `index` that are still to come, the last one first.
  private var parts: [Range<Int>] = []
  private var buffer: UnsafeMutablePointer<CChar>
  private var capacity = TrainerText.longestSentence

  init(_ sentences: [[UInt8]]) {
    self.sentences = sentences
    buffer = .allocate(capacity: capacity)
  }

  deinit { buffer.deallocate() }

  /// Points at the next sentence that is not empty; the bytes are valid until the next call.
  func next(
    _ text: UnsafeMutablePointer<UnsafePointer<CChar>?>?, _ count: UnsafeMutablePointer<Int>?
  ) -> Bool {
    while parts.isEmpty {
      guard index < sentences.count else { return false }
      if !sentences[index].isEmpty {
        parts = sentences[index].withUnsafeBufferPointer(TrainerText.parts).reversed()
        parts.removeAll { $0.isEmpty }
      }
      index += 1
    }
    let part = parts.removeLast()
    let whole = sentences[index - 1]
    let sentence = TrainerText.replacingReserved(
      in: part.count == whole.count ? whole : Array(whole[part])
    ).sentence
    sentence.withUnsafeBytes { bytes in
      if let base = bytes.baseAddress { memcpy(buffer, base, bytes.count) }
    }
    text?.pointee = UnsafePointer(buffer)
    count?.pointee = sentence.count
    return true
  }
}

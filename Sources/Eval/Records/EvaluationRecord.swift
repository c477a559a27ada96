package import Provenance
package import Tensor

/// One evaluation with everything that is needed to compare it with others.
package struct EvaluationRecord: Codable, Sendable, Equatable {
  /// How words outside a list were scored.
  package struct OutOfVocabulary: Codable, Sendable, Equatable {
    /// Words of the text that were scored as `<UNK>`.
    package var words: Int
    /// Different words in the list.
    package var listWords: Int
    package var listSHA256: String
    /// Whether the tokenizer has `<UNK>` as one token, and so was trained on such text.
    package var isOneToken: Bool
    /// The list that the model was trained with, where it is recorded and differs.
    package var trainedListSHA256: String?

    package init(
      words: Int, listWords: Int, listSHA256: String, isOneToken: Bool,
      trainedListSHA256: String? = nil
    ) {
      self.words = words
      self.listWords = listWords
      self.listSHA256 = listSHA256
      self.isOneToken = isOneToken
      self.trainedListSHA256 = trainedListSHA256
    }
  }

  /// The checkpoint folder.
  package var checkpoint: String
  package var step: Int?
  /// What training began with, where that is weights of another; absent otherwise.
  package var initialWeights: String?
  package var weightsSHA256: String
  /// Of the file of rows of n-grams; absent if the model has none.
  package var ngramsSHA256: String?
  /// Without the rows of n-grams, of which a step reads and moves a few.
  package var parameters: Int
  /// Numbers in rows of n-grams; absent if the model has none.
  package var ngramNumbers: Int?
  package var attention: String
  package var tokenizerSHA256: String
  /// Tokens of the tokenizer.
  package var vocabularySize: Int
  /// Name of the text: files, or splits and their data set.
  package var text: String
  package var textSums: TextSums
  /// Whether the checksums are of the text after its unknown words were replaced.
  package var textIsMapped: Bool
  /// How the text was read if not byte for byte, for example without its byte order mark.
  package var textReading: String?
  /// Window of stream mode in tokens; absent if every sentence stands alone.
  package var window: Int?
  /// How far a window begins after the one before, in tokens; absent if they do not overlap.
  package var stride: Int?
  /// What products read and wrote; absent if it was float32, as in all records before there was a choice.
  package var precision: Precision?
  /// Name of the precision, where it is not float32.
  package var precisionName: String? { precision?.rawValue }
  /// Absent if no word was replaced.
  package var outOfVocabulary: OutOfVocabulary?
  package var tally: Tally
  /// Of the word perplexity.
  package var standardError: Double?
  /// What computed it; absent in records of versions before.
  package var provenance: Provenance?

  package init(
    checkpoint: String, step: Int?, initialWeights: String? = nil, weightsSHA256: String,
    ngramsSHA256: String? = nil, parameters: Int, ngramNumbers: Int? = nil, attention: String,
    tokenizerSHA256: String, vocabularySize: Int, text: String, textSums: TextSums,
    textIsMapped: Bool, textReading: String? = nil, window: Int?, stride: Int? = nil,
    precision: Precision = .float32, outOfVocabulary: OutOfVocabulary?, tally: Tally,
    standardError: Double?, provenance: Provenance? = nil
  ) {
    self.checkpoint = checkpoint
    self.step = step
    self.initialWeights = initialWeights
    self.weightsSHA256 = weightsSHA256
    self.ngramsSHA256 = ngramsSHA256
    self.parameters = parameters
    self.ngramNumbers = ngramNumbers
    self.attention = attention
    self.tokenizerSHA256 = tokenizerSHA256
    self.vocabularySize = vocabularySize
    self.text = text
    self.textSums = textSums
    self.textIsMapped = textIsMapped
    self.textReading = textReading
    self.window = window
    self.stride = stride
    self.precision = precision == .float32 ? nil : precision
    self.outOfVocabulary = outOfVocabulary
    self.tally = tally
    self.standardError = standardError
    self.provenance = provenance
  }
}

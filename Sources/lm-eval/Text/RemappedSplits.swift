import Eval
import LMData
import Tokenize

/// The sentences of splits that were made without a list of words, with their unknown words replaced while
/// they are read.
final class RemappedSplits {
  private let dataSet: DataSet
  private let list: WordList
  private let encoder: LineEncoder
  private let tokens: TokenTable
  private var remaining: ArraySlice<String>
  private var split = ""
  private var source: EvaluationSource?
  private var batch = Batch()
  private var sequence = 0
  private var sentence = 0

  init(
    _ dataSet: DataSet, _ splits: [String], _ list: WordList, _ tokenizer: SentencePieceModel
  ) throws {
    self.dataSet = dataSet
    self.list = list
    encoder = LineEncoder(model: tokenizer)
    tokens = tokenizer.tokenTable()
    remaining = splits[...]
  }

  func next() throws -> TextSentence? {
    while sequence == batch.sequences {
      guard try nextBatch() else { return nil }
    }
    let original = tokens.decode(batch.targets(of: sequence).dropLast())
    sequence += 1
    sentence += 1
    let text = list.mapping(original).text
    let place = "sentence \(sentence) of the split \(split)"
    return TextSentence(
      text: text, original: original, ids: try encoder.encode(text, name: place), place: place,
      name: split, number: sentence)
  }

  private func nextBatch() throws -> Bool {
    while true {
      if let batch = try source?.nextBatch() {
        self.batch = batch
        sequence = 0
        return true
      }
      guard let next = remaining.popFirst() else { return false }
      split = next
      sentence = 0
      source = try EvaluationSource(
        dataSet: dataSet, split: split, mode: .sentences, budget: 4_096)
    }
  }
}

import CommandSupport
import Eval
import Foundation
import LMData
import Storage
import Tokenize

/// The text that is to be scored: splits of a data set, or files.
struct TextSource {
  /// The list of words by which words are unknown.
  struct Rule {
    let words: Int
    let sha256: String
  }

  /// For the table and the progress line.
  let name: String
  /// Bytes of the text, if they are known beforehand.
  let bytes: Double?
  /// Set if words are scored as `<UNK>`.
  let rule: Rule?
  /// Whether the text had its words replaced when the data set was made.
  let isMapped: Bool
  /// What a reader of the figures should know, a sentence each.
  let notes: [String]
  /// The list that the model was trained with, if it is known and another than that of the text.
  let otherList: VocabularyInfo?
  /// How the text is read where that is not as it is; known after it has been read.
  var reading: String? { found.reading }
  /// What is unusual in the files, a sentence each; known after they have been read.
  var textNotes: [String] { found.notes }
  private let found: Found
  /// Reads the text from its beginning every time.
  private let run: (PerplexityScorer) throws -> PerplexityReport

  func report(_ scorer: PerplexityScorer) throws -> PerplexityReport { try run(scorer) }

  /// What reading the files has shown.
  private final class Found {
    var notes: [String] = []
    var reading: String?

    func note(_ lines: FileLines) {
      notes = lines.notes
      reading = lines.reading
    }
  }

  /// - Parameters:
  ///   - options: What is read.
  ///   - vocabulary: File of the words that are not unknown.
  ///   - window: Window on the running text in pieces; nil if every sentence stands alone.
  ///   - trained: The model that is to score it.
  ///   - tokenizer: Of that model.
  init(
    _ options: TextOptions, vocabulary: String?, window: Int?, trained: TrainedModel,
    tokenizer: SentencePieceModel
  ) throws {
    let list = try vocabulary.map { try WordList(path: $0) }
    let found = Found()
    self.found = found
    var rule = list.map { Rule(words: $0.count, sha256: $0.sha256) }
    var isMapped = false
    if let data = options.data {
      let dataSet = try DataSet(directory: data)
      try trained.check(dataSet)
      let splits = options.splits
      // Refuses a split without sentences before the progress begins.
      for split in splits { _ = try dataSet.split(split) }
      let mode = window.map { SequenceMode.stream(length: $0) } ?? .sentences
      name =
        "split \(splits.joined(separator: " + ")) of \(data)"
        + (window.map { ", windows of \($0)" } ?? "")
      bytes = splits.reduce(0) { $0 + Double(dataSet.manifest.totals(of: $1).bytes) }
      if dataSet.manifest.lineEnds == LineEnds.any.rawValue { found.reading = FileLines.anyLineEnd }
      if let made = dataSet.manifest.vocabulary {
        if let list, list.sha256 != made.sha256 {
          throw CommandError(
            "\(data) was made with another list of words than \(list.path): its SHA-256 is "
              + "\(made.sha256), not \(list.sha256); leave out --vocabulary, or score the text with "
              + "--text")
        }
        rule = Rule(words: made.words, sha256: made.sha256)
        isMapped = true
      }
      if let list, !isMapped {
        guard window == nil else {
          throw CommandError(
            "--vocabulary with --context stream needs shards made with it; run lm-tokenize "
              + "--vocabulary \(list.path)")
        }
        run = { scorer in
          let lines = try RemappedSplits(dataSet, splits, list, tokenizer)
          return try scorer.report(countsUnknownWords: true) { try lines.next() }
        }
      } else {
        run = { try $0.report(dataSet: dataSet, splits: splits, mode: mode) }
      }
    } else {
      let files = options.text
      name = files.map(PipeSpool.name).joined(separator: ", ")
      // Pipes are kept now, whoever asks for them first.
      let places = try files.map { try PipeSpool.readable($0) }
      let isPlain = files.allSatisfy { !$0.hasSuffix(".gz") && !$0.hasSuffix(".zst") }
      let sizes = places.map { try? Files.size(of: $0) }
      bytes = isPlain && !sizes.contains(nil) ? Double(sizes.reduce(0) { $0 + ($1 ?? 0) }) : nil
      // One for all passes: to make its tables takes longer than to score a sentence.
      let encoder = LineEncoder(model: tokenizer)
      // Read once now, so that what cannot be read is known before anything is scored.
      let lineEnds = options.lineEnds
      _ = try FileLines(files, encoder: encoder, vocabulary: list, lineEnds: lineEnds)
      run = { scorer in
        let lines = try FileLines(files, encoder: encoder, vocabulary: list, lineEnds: lineEnds)
        let report = try scorer.report(countsUnknownWords: list != nil) { try lines.next() }
        found.note(lines)
        return report
      }
    }
    self.rule = rule
    self.isMapped = isMapped
    let trainedList = try trained.trainingVocabulary()
    otherList = trainedList.flatMap { $0.sha256 == rule?.sha256 ?? $0.sha256 ? nil : $0 }
    notes = try Self.notes(rule, tokenizer, otherList: otherList, trained: trainedList)
  }

  /// Where text and model were made by different rules.
  private static func notes(
    _ rule: Rule?, _ tokenizer: SentencePieceModel, otherList: VocabularyInfo?,
    trained: VocabularyInfo?
  ) throws -> [String] {
    if let otherList, let rule {
      return [
        "the model was trained with another list of words (\(Format.count(otherList.words, "word")), "
          + "SHA-256 \(otherList.sha256.prefix(12))…) than that of this text "
          + "(\(Format.count(rule.words, "word")), SHA-256 \(rule.sha256.prefix(12))…): the rate of "
          + "<UNK> is another, and so is the figure; give the list that the model was trained with"
      ]
    }
    if rule != nil, tokenizer.unknownWordID == nil {
      let pieces = try tokenizer.encode(Words.unknown).count
      return [
        "the tokenizer has no piece for <UNK> and spells it in \(pieces): the model was not "
          + "trained on such text, so this is no figure to compare; make data and model with "
          + "lm-tokenize --vocabulary"
      ]
    }
    if rule == nil, tokenizer.unknownWordID != nil {
      let list = trained.map { " (\(Format.count($0.words, "word")), SHA-256 \($0.sha256))" } ?? ""
      return [
        "the model was trained with rare words as <UNK>, but this text is scored as it is; give "
          + "the same --vocabulary\(list) to score it as it was trained"
      ]
    }
    return []
  }
}

import CommandSupport
import Eval
import Foundation
import LMData
import Storage
import Tokenize

/// The text to be scored: splits of a data set, or files.
struct TextSource {
  /// The list outside which words are unknown.
  struct UnknownWordRule: Equatable {
    let words: Int
    let sha256: String
  }

  /// Its name in the table and the progress line.
  let name: String
  /// Bytes of the text, if known before it is read.
  let bytes: Double?
  /// Set if words are scored as `<UNK>`.
  let rule: UnknownWordRule?
  /// Whether unknown words were replaced when the data set was made.
  let isMapped: Bool
  /// Where model and text do not fit together, a sentence each.
  let notes: [String]
  /// The list that the model was trained with, if it is recorded and differs from that of the text.
  let otherList: VocabularyInfo?
  /// How the text is read if not byte for byte; known after it has been read.
  var reading: String? { findings.reading }
  /// What is unusual in the files, a sentence each; known after they have been read.
  var textNotes: [String] { findings.notes }
  private let findings: Findings
  /// Scores the text from its beginning; may be called several times.
  private let score: (PerplexityScorer) throws -> PerplexityReport

  func report(_ scorer: PerplexityScorer) throws -> PerplexityReport { try score(scorer) }

  /// What was noticed while the files were read.
  private final class Findings {
    var notes: [String] = []
    var reading: String?

    func note(_ lines: FileLines) {
      notes = lines.notes
      reading = lines.reading
    }
  }

  /// - Parameters:
  ///   - options: Names the text.
  ///   - vocabulary: The list of words outside which words are unknown, a file.
  ///   - window: Window on the running text in tokens; nil if every sentence stands alone.
  ///   - stride: How far a window begins after the one before; nil if they do not overlap.
  ///   - trained: The model that scores it.
  ///   - tokenizer: Of that model.
  init(
    _ options: TextOptions, vocabulary: String?, window: Int?, stride: Int? = nil,
    trained: TrainedModel,
    tokenizer: SentencePieceModel
  ) throws {
    let trainedList = try trained.trainingVocabulary()
    var list = try vocabulary.map { try WordList(path: $0) }
    if let list {
      try tokenizer.requireOwnWords(
        list, path: trained.tokenizerPath,
        advice: "leave out --vocabulary, as a model of whole words knows its list")
    }
    // A model of whole words knows its list: what is outside it is <UNK> without being told.
    let knownWords = list == nil && options.data == nil ? tokenizer.wordList() : nil
    list = list ?? knownWords
    let findings = Findings()
    self.findings = findings
    var rule = list.map {
      UnknownWordRule(
        words: $0.count,
        sha256: knownWords == nil ? $0.sha256 : trainedList?.sha256 ?? $0.sha256)
    }
    var isMapped = false
    if let data = options.data {
      let dataSet = try DataSet(directory: data)
      try trained.check(dataSet)
      let splits = options.splits
      // Refuses a split without sentences before the progress begins.
      for split in splits { _ = try dataSet.split(split) }
      let mode = Self.mode(window: window, stride: stride)
      name =
        "split \(splits.joined(separator: " + ")) of \(data)"
        + (window.map { ", windows of \($0)" } ?? "") + (stride.map { ", stride \($0)" } ?? "")
      bytes = splits.reduce(0) { $0 + Double(dataSet.manifest.totals(of: $1).bytes) }
      if dataSet.manifest.lineEnds == LineEnds.any.rawValue {
        findings.reading = FileLines.anyLineEnd
      }
      if let made = dataSet.manifest.vocabulary {
        if let list, list.sha256 != made.sha256 {
          throw CommandError(
            "\(data) was made with another list of words than \(list.path): its SHA-256 is "
              + "\(made.sha256), not \(list.sha256); leave out --vocabulary, or score the text with "
              + "--text")
        }
        rule = UnknownWordRule(words: made.words, sha256: made.sha256)
        isMapped = true
      }
      if let list, !isMapped {
        guard window == nil else {
          throw CommandError(
            "--vocabulary with --context stream needs shards made with it; run lm-tokenize "
              + "--vocabulary \(list.path)")
        }
        score = { scorer in
          let lines = try RemappedSplits(dataSet, splits, list, tokenizer)
          return try scorer.report(countsUnknownWords: true) { try lines.next() }
        }
      } else {
        score = { try $0.report(dataSet: dataSet, splits: splits, mode: mode) }
      }
    } else {
      let files = options.text
      name = files.map(PipeSpool.name).joined(separator: ", ")
      // Pipes must be copied to files before their size is asked for.
      let places = try files.map { try PipeSpool.readable($0) }
      let isPlain = !files.contains(where: DecompressedFile.isCompressed)
      let sizes = places.map { try? Files.size(of: $0) }
      bytes = isPlain && !sizes.contains(nil) ? Double(sizes.reduce(0) { $0 + ($1 ?? 0) }) : nil
      // One for all passes: making its tables takes longer than scoring a sentence.
      let encoder = LineEncoder(model: tokenizer)
      // Opened once now, so that a file that cannot be read is reported before scoring begins.
      let lineEnds = options.lineEnds
      _ = try FileLines(files, encoder: encoder, vocabulary: list, lineEnds: lineEnds)
      score = { scorer in
        let lines = try FileLines(files, encoder: encoder, vocabulary: list, lineEnds: lineEnds)
        var report = try scorer.report(countsUnknownWords: list != nil) { try lines.next() }
        if scorer.separatesSources {
          report.files = files.enumerated().map { number, path in
            SourceFigures(name: PipeSpool.name(of: path), tally: report.sources[number] ?? Tally())
          }
        }
        findings.note(lines)
        return report
      }
    }
    self.rule = rule
    self.isMapped = isMapped
    otherList = trainedList.flatMap { $0.sha256 == rule?.sha256 ?? $0.sha256 ? nil : $0 }
    notes = try Self.notes(rule, tokenizer, otherList: otherList, trained: trainedList)
  }

  private static func mode(window: Int?, stride: Int?) -> SequenceMode {
    guard let window else { return .sentences }
    return stride.map { .overlapping(length: window, stride: $0) } ?? .stream(length: window)
  }

  /// Where text and model were made with different lists of words.
  private static func notes(
    _ rule: UnknownWordRule?, _ tokenizer: SentencePieceModel, otherList: VocabularyInfo?,
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
      let tokens = try tokenizer.encode(Words.unknown).count
      return [
        "the tokenizer has no token for <UNK> and spells it in \(tokens): the model was not "
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

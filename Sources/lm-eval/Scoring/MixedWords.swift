import Eval
import Foundation
import LMData
import Ngrams

/// The words of a text under the decoder and under an n-gram model, in the order of the text.
final class MixedWords {
  private let model: NgramModel
  private let tokens: TokenTable
  private let starts: WordStarts
  /// Of every word and every `</s>`.
  private(set) var pairs: [Mixture.Pair] = []
  /// -ln p of the n-gram model alone, which has its mark of unknown words for all that it does not know.
  private var ngramNats: [Double] = []
  /// How many of `pairs` every sentence has.
  private var units: [Int] = []
  /// Words that are not in the vocabulary of the n-gram model.
  private(set) var unknownWords = 0

  init(_ model: NgramModel, tokens: TokenTable, starts: WordStarts) {
    self.model = model
    self.tokens = tokens
    self.starts = starts
  }

  func add(_ sentence: ScoredSentence) {
    let words = WordSurprisal.words(of: sentence.score, tokens: tokens, starts: starts)
    let scores = model.scores(words.dropLast().map(\.text))
    for (word, score) in zip(words, scores) {
      let nats = -Double(score.log10) * log(10)
      // The mark's probability is that of all unknown words together: none of them may have it for itself.
      pairs.append(Mixture.Pair(first: word.nats, second: score.isKnown ? nats : .infinity))
      ngramNats.append(nats)
      if !score.isKnown { unknownWords += 1 }
    }
    units.append(words.count)
  }

  /// Sums of every sentence over a figure of its words.
  private func sums(_ nats: (Int) -> Double) -> [SentenceSum] {
    var first = 0
    return units.map { count in
      defer { first += count }
      return SentenceSum(
        nats: (first..<first + count).reduce(0) { $0 + nats($1) }, units: count)
    }
  }

  /// Figures of the n-gram model alone.
  var ngram: MixtureFigures.Figures { MixtureFigures.Figures(sums { ngramNats[$0] }) }

  /// Figures of the mixture.
  func mixed(weight: Double) -> MixtureFigures.Figures {
    MixtureFigures.Figures(sums { Mixture.nats(pairs[$0], weight: weight) })
  }
}

/// Decoder, n-gram model and mixture on one text.
struct MixtureFigures: Encodable {
  struct Figures: Encodable {
    let wordPerplexity: Double
    let nats: Double
    let standardError: Double?

    init(_ sentences: [SentenceSum]) {
      let sums = SentenceSums(sentences)
      nats = sums.nats
      wordPerplexity = exp(nats / Double(sentences.reduce(0) { $0 + $1.units }))
      standardError = nats.isFinite ? sums.bootstrapStandardError() : nil
    }

    init(_ report: PerplexityReport) {
      wordPerplexity = report.tally.wordPerplexity
      nats = report.tally.nats
      standardError = report.standardError
    }

    private enum Key: String, CodingKey {
      case wordPerplexity = "word_perplexity"
      case standardError = "standard_error"
      case nats
    }

    func encode(to encoder: any Encoder) throws {
      var fields = encoder.container(keyedBy: Key.self)
      // JSON has no infinity.
      try fields.encode(wordPerplexity.isFinite ? wordPerplexity : nil, forKey: .wordPerplexity)
      try fields.encode(nats.isFinite ? nats : nil, forKey: .nats)
      try fields.encode(standardError, forKey: .standardError)
    }
  }

  /// The ARPA file.
  let file: String
  let order: Int
  /// N-grams of every order.
  let ngrams: [Int]
  /// Of the decoder.
  let weight: Double
  /// Where the weight is from, as a clause.
  let origin: String
  let unknownWords: Int
  let decoder: Figures
  let ngram: Figures
  let mixed: Figures

  private enum CodingKeys: String, CodingKey {
    case file, order, ngrams, weight, decoder, ngram, mixed
    case origin = "weight_from"
    case unknownWords = "unknown_to_ngrams"
  }
}

/// The figures of a text with those of its mixture, as one JSON object.
struct MixedReport: Encodable {
  let report: PerplexityReport
  let mixture: MixtureFigures?

  private enum Key: CodingKey { case mixture }

  func encode(to encoder: any Encoder) throws {
    try report.encode(to: encoder)
    guard let mixture else { return }
    var fields = encoder.container(keyedBy: Key.self)
    try fields.encode(mixture, forKey: .mixture)
  }
}

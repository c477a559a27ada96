import CommandSupport

extension FigureTable {
  /// Three lines: the decoder alone, the n-gram model alone, and both.
  static func describe(_ mixture: MixtureFigures) -> [String] {
    func row(_ name: String, _ figures: MixtureFigures.Figures, _ meaning: String) -> [String] {
      let error = figures.standardError.map { "± \(number($0, 2)), " } ?? ""
      return [name, number(figures.wordPerplexity, 2), error + meaning]
    }
    let unknown =
      mixture.unknownWords == 0
      ? ""
      : ", \(Format.count(mixture.unknownWords, "word")) outside its vocabulary as <unk>"
    let weight = Format.decimal(mixture.weight, 4)
    let other = Format.decimal(1 - mixture.weight, 4)
    return [
      "", "Word perplexity, interpolated word by word with an n-gram model:",
    ]
      + aligned([
        row("decoder alone", mixture.decoder, "as above"),
        row(
          "n-gram alone", mixture.ngram,
          "\(mixture.file), order \(mixture.order), \(Format.count(mixture.ngrams.reduce(0, +))) n-grams\(unknown)"
        ),
        row(
          "mixed", mixture.mixed, "\(weight) decoder + \(other) n-gram, weight \(mixture.origin)"),
      ])
  }
}

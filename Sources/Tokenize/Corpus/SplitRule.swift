import LMData

/// Sends each line of a text to `train`, `valid` or `test` by chance.
///
/// Where a line goes follows from the seed, its file and its number alone.
package struct SplitRule: Equatable, Sendable {
  package let valid: Double
  package let test: Double
  package let seed: UInt64

  /// - Parameters:
  ///   - valid: Share of the lines for validation.
  ///   - test: Share of the lines for testing; together below 1.
  ///   - seed: Another seed gives another split.
  package init(valid: Double, test: Double, seed: UInt64) throws(TokenizerError) {
    guard valid >= 0, test >= 0, valid + test < 1 else {
      throw .options(
        "the shares for validation (\(valid)) and test (\(test)) must be at least 0 and leave"
          + " something for training")
    }
    self.valid = valid
    self.test = test
    self.seed = seed
  }

  /// Index into ``Corpus/splits`` of a line; lines count from 0.
  func split(file: Int, line: Int) -> Int {
    let draw = Double(LineHash.bits(seed: seed ^ 0x5DEECE66D, file: file, line: line) >> 11)
    let share = draw * 0x1p-53
    if share < valid { return 1 }
    return share < valid + test ? 2 : 0
  }

  /// What to say of splits that were asked for and to which no line fell, in one sentence; nil if there
  /// are none.
  ///
  /// - Parameter manifest: Of the text that was dealt out.
  func note(on manifest: Manifest) -> String? {
    let shares = [1 - valid - test, valid, test]
    let empty = zip(Corpus.splits, shares).filter { split, share in
      share > 0 && manifest.totals(of: split).sentences == 0
    }
    guard !empty.isEmpty else { return nil }
    let lines = Corpus.splits.reduce(0) { $0 + manifest.totals(of: $1).sentences }
    return "none of the text's \(lines) \(lines == 1 ? "line" : "lines") fell to "
      + "\(empty.map(\.0).joined(separator: " or ")), for each goes by chance; give more text, other "
      + "shares or another --seed"
  }
}

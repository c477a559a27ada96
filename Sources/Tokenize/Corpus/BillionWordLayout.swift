/// Names of the One Billion Word benchmark (its `README.corpus_generation_checkpoints`).
enum BillionWordLayout {
  static let archiveFolder = "1-billion-word-language-modeling-benchmark-r13output"
  static let trainingFolder = "training-monolingual.tokenized.shuffled"
  static let heldoutFolder = "heldout-monolingual.tokenized.shuffled"

  /// The split of a file, or `nil` if it is none of the benchmark's shards.
  static func split(of name: String, in folder: String) -> String? {
    if folder == trainingFolder {
      return number(in: name, "news.en-", "-of-00100").map { _ in "train" }
    }
    switch number(in: name, "news.en.heldout-", "-of-00050") {
    case .none: return nil
    case .some(0): return "test"
    case .some(1): return "valid"
    case .some: return "heldout"
    }
  }

  static func reasonToIgnore(_ name: String, in folder: String) -> String {
    if folder == heldoutFolder && number(in: name, "news.en-", "-of-00100") != nil {
      return "it repeats the held-out shards in one file"
    }
    return "not a shard of the benchmark"
  }

  /// The number between a prefix and a suffix, if it has exactly five digits.
  private static func number(in name: String, _ prefix: String, _ suffix: String) -> Int? {
    guard name.hasPrefix(prefix), name.hasSuffix(suffix) else { return nil }
    let digits = name.dropFirst(prefix.count).dropLast(suffix.count)
    guard digits.count == 5, digits.allSatisfy({ ("0"..."9").contains($0) }) else { return nil }
    return Int(digits)
  }
}

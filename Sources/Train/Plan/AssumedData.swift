import Deterministic
package import LMData
import Tensor

#if canImport(Glibc)
  import Glibc
#endif

/// The One Billion Word benchmark as a data set that is not there, to plan a run.
///
/// Sentences and words are the benchmark's own counts (the words of the validation shard are about
/// as many, and decide nothing). Tokens are Tensor2Tensor's with 32k of them, 1.1081 a word, where
/// every sentence counts one `</s>` on both sides. No sentence is taken to be longer than 1,023.
/// Lengths are spread around their mean as a gamma distribution of shape 4, whose deviation is half
/// the mean; news in the benchmark's own cut has 0.46 of it, in words.
package enum AssumedData {
  package static let sentences = 30_301_028
  package static let words = 768_648_884
  private static let trainingShards = 99
  /// Tokens a word, `</s>` among both.
  package static let tokensPerWord = 1.1081

  /// Lengths of sentences as they may come, `</s>` included.
  package static let lengths: [Int] = {
    let random = CounterRandom(seed: 1, 0x1B)
    let mean = Double(words + sentences) * tokensPerWord / Double(sentences)
    return (0..<1 << 16).map { (index: UInt64) in
      // The sum of four exponential numbers.
      let product = (0..<4).reduce(1.0) { $0 * (1 - random.uniform(4 * index + $1)) }
      return min(1_024, max(1, Int((-log(product) * mean / 4).rounded())))
    }
  }()

  /// The training split and the validation shard, made with that many tokens.
  package static func manifest(vocabularySize: Int) -> Manifest {
    func units(_ words: Int, _ sentences: Int) -> Int {
      Int((Double(words + sentences) * tokensPerWord).rounded())
    }
    func shard(_ source: String, sentences: Int, words: Int, units: Int) -> ShardInfo {
      ShardInfo(
        file: source, source: source, sentences: sentences, tokens: units - sentences,
        words: words, bytes: 136 * sentences, compressedBytes: 0, longestSentence: 1_023, sha256: ""
      )
    }
    return Manifest(
      tokenizer: TokenizerInfo(sha256: "", modelType: "unigram", vocabularySize: vocabularySize),
      special: SpecialIDs(bos: 1, eos: 2, unk: 0),
      splits: [
        "train": (0..<trainingShards).map { index in
          // A part of a total, so that all parts add up to it.
          func part(_ total: Int) -> Int {
            total * (index + 1) / trainingShards - total * index / trainingShards
          }
          let number = index + 1
          return shard(
            "news.en-000\(number < 10 ? "0" : "")\(number)-of-00100", sentences: part(sentences),
            words: part(words), units: part(units(words, sentences)))
        },
        "valid": [
          shard(
            "news.en.heldout-00001-of-00050", sentences: 6_206, words: 6_206 * words / sentences,
            units: units(6_206 * words / sentences, 6_206))
        ],
      ])
  }
}

import Deterministic
import Foundation
import Storage
import Tensor
import Tokenize

/// Text becomes the ids of libsentencepiece, several times as fast.
extension Check {
  static let text: [Check] =
    ModelType.allCases.map { type in
      Check("lines with other ids than libsentencepiece's, \(type.rawValue)") { withFault in
        let sample = try TextSample.of(type)
        let other =
          withFault ? try TextSample.of(type == .bpe ? .unigram : .bpe).model : sample.model
        let encoder = LineEncoder(model: other)
        let different = try sample.lines.prefix(2_000).count {
          try encoder.encode($0) != sample.model.encode($0)
        }
        return Outcome(found: different, expected: 0)
      }
    }
    + ModelType.allCases.map { type in
      Check("speed of encoding, in that of libsentencepiece, \(type.rawValue)") { withFault in
        let sample = try TextSample.of(type)
        let stages = try sample.stages()
        var (ours, library) = (Double.infinity, Double.infinity)
        for _ in 0..<3 {
          library = min(library, try seconds { try sample.encodeWithLibrary() })
          ours = min(
            ours,
            try seconds {
              if withFault { try sample.encodeWithLibrary() } else { _ = try stages.encode() }
            })
        }
        // Ten times and more on real text.
        return Outcome(ratio: library / ours, atLeast: 2)
      }
    }
}

/// Lines of invented words with the frequencies of a language, and a tokenizer trained on them.
private struct TextSample: Sendable {
  let lines: [[UInt8]]
  let model: SentencePieceModel

  private static let unigram = Result { try TextSample(.unigram) }
  private static let bpe = Result { try TextSample(.bpe) }

  /// Made once.
  static func of(_ type: ModelType) throws -> TextSample {
    try type == .unigram ? unigram.get() : bpe.get()
  }

  private init(_ type: ModelType) throws {
    let random = CounterRandom(seed: 11)
    let letters = Array("etaoinshrdlucmfwypvbgkjqxz".utf8)
    let words = (0..<4_000).map { word in
      (0..<2 + Int(random.bits(UInt64(word)) % 8)).map { place in
        // Squares, so that some letters are frequent.
        let number = random.uniform(UInt64(1 << 20 + 16 * word + place))
        return letters[Int(number * number * 26)]
      }
    }
    lines = (0..<8_000).map { line in
      let count = 3 + Int(random.bits(UInt64(1 << 30 + line)) % 40)
      let text = (0..<count).map { place -> [UInt8] in
        let number = random.uniform(UInt64(1 << 32 + 64 * line + place))
        return words[Int(number * number * number * 4_000)]
      }
      return Array(text.joined(separator: [0x20]))
    }
    model = try TokenizerTrainer.train(
      TokenizerRecipe(modelType: type, vocabularySize: 800),
      sentences: Array(lines.prefix(1_500)))
  }

  /// The lines as a text, ready to be encoded.
  func stages() throws -> EncoderStages {
    let path = NSTemporaryDirectory() + "lm-bench-check-\(UUID().uuidString)"
    defer { try? Files.remove(path) }
    try AtomicFile.write(Array(lines.joined(separator: [0x0A])), to: path)
    return try EncoderStages(path: path, model: model, limit: .max)
  }

  func encodeWithLibrary() throws {
    for line in lines { _ = try model.encode(line) }
  }
}

import Eval
import Foundation
import Host
import LMData
import Model
import Storage
import Tensor
import TestSupport
import Testing

/// Models from elsewhere beside tokenizers with fewer tokens and markers of their own.
@Suite struct ForeignModelTests {
  private static let special = SpecialIDs(bos: 1, eos: 2, unk: 0)

  private static func write(_ config: ModelConfig, to folder: String) throws -> Transformer {
    let model = try SmallModel.make(config)
    try ModelFiles.write(config, model.parameters, directory: folder)
    try AtomicFile.write([7], to: folder + "/" + CheckpointFolder.tokenizerName)
    return model
  }

  @Test func rowsBeyondTheTokenizerCountAndAreNotWritten() throws {
    try withTemporaryDirectory { folder in
      let config = SmallModel.config()
      let model = try Self.write(config, to: folder)
      var trained = try TrainedModel(folder, verifyingWeights: true)
      let tokens = config.vocabularySize - 10
      try trained.fit(vocabularySize: tokens, special: Self.special)
      #expect(trained.rows == config.vocabularySize && trained.notes.count == 1)
      // All rows are part of the normaliser.
      let nats = try trained.model.nllNats(ids: [1, 5], targets: [5, 2], starts: [0, 2])
      #expect(try nats == model.nllNats(ids: [1, 5], targets: [5, 2], starts: [0, 2]))
      let table = TokenTable((0..<tokens).map { _ in [0x61] })
      let never = trained.neverSampled(table, special: Self.special)
      #expect(never == [0, 1] + (Int32(tokens)..<Int32(config.vocabularySize)))
      // A token without a row is another tokenizer's.
      #expect(throws: EvaluationError.self) {
        var trained = trained
        try trained.fit(vocabularySize: config.vocabularySize + 1, special: Self.special)
      }
      // Of a run, the numbers are equal.
      try AtomicFile.write([], to: folder + "/" + CheckpointFolder.stateName)
      #expect(throws: EvaluationError.self) {
        var trained = trained
        try trained.fit(vocabularySize: tokens, special: Self.special)
      }
    }
  }

  @Test func anyOfSeveralTokensClosesASample() throws {
    try withTemporaryDirectory { folder in
      var config = SmallModel.config()
      config.eosID = 9
      config.otherEndIDs = [2]
      _ = try Self.write(config, to: folder)
      var trained = try TrainedModel(folder, verifyingWeights: true)
      try trained.fit(vocabularySize: config.vocabularySize, special: Self.special)
      #expect(trained.config.eosID == 2 && trained.config.otherEndIDs == [9])
      let sampler = try Sampler(
        SamplingOptions(), seed: 1, vocabulary: trained.rows, excluded: [Int32(2)])
      let generator = Generator(model: trained.model, sampler: sampler, maximumTokens: 200)
      let ends = try generator.continuations(of: [], count: 20)
      #expect(ends.contains { $0.end == .sentence } && !ends.contains { $0.ids.contains(9) })
    }
  }

  @Test func aMissingTokenizerIsAskedFor() throws {
    try withTemporaryDirectory { folder in
      _ = try Self.write(SmallModel.config(), to: folder)
      let rebuilt = { (_: String) -> [UInt8] in [1, 2, 3] }
      // The file itself, as long as it is there.
      var trained = try TrainedModel(folder, verifyingWeights: true, rebuiltTokenizer: rebuilt)
      #expect(trained.tokenizer == [7])
      try Files.remove(folder + "/" + CheckpointFolder.tokenizerName)
      trained = try TrainedModel(folder, verifyingWeights: true, rebuiltTokenizer: rebuilt)
      #expect(trained.tokenizer == [1, 2, 3])
      #expect(throws: (any Error).self) { try TrainedModel(folder, verifyingWeights: true) }
    }
  }
}

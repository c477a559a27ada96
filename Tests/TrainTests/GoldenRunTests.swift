import Foundation
import LMData
import Model
import Storage
import TestSupport
import Testing
import Train

/// The first hundred losses of a small run, as they were when they were written down.
///
/// They repeat bit for bit (`TrainerTests`). A kernel that sums in another order rounds differently;
/// the tolerance holds that with room to spare (`docs/trust.md` has the spread), and a change of the
/// mathematics does not pass.
@Suite struct GoldenRunTests {
  /// Relative difference that only rounding makes.
  private static let tolerance = 1e-6

  @Test func lossesAreThoseOfBefore() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      var model = ModelConfig(
        vocabularySize: TinyDataSet.vocabulary, width: 24, layers: 2, heads: 3, hidden: 40)
      model.initialDeviation = 0.1
      var config = RunConfig(
        preset: "golden", model: model, steps: 100, batchTokens: 200,
        schedule: .warmupStableDecay(warmup: 10, decay: 0.5))
      config.optimizer.rate = 2e-3
      config.microBatchTokens = 80
      config.dropout = 0.1
      config.report.logEvery = 1
      config.report.validateEvery = 0
      config.report.checkpointEvery = 0
      let run = directory + "/run"
      _ = try Trainer(
        config: config, dataSet: data, tokenTable: TinyDataSet.tokenTable,
        tokenizer: TinyDataSet.tokenizer, run: run, resume: false
      ).train()
      let losses = try Files.contents(of: run + "/" + MetricsLog.name).split(separator: 10).map {
        try JSONDecoder().decode(Metrics.self, from: Data($0))
      }.filter { $0.kind == "train" }.map(\.natsPerToken)
      let different = zip(losses, Self.losses).enumerated().filter {
        abs($0.element.0 - $0.element.1) > Self.tolerance * $0.element.1
      }
      #expect(losses.count == Self.losses.count, "\(losses)")
      #expect(
        different.isEmpty,
        """
        \(different.count) losses differ, first at step \((different.first?.offset ?? 0) + 1): \
        \(losses)
        """)
    }
  }

  private static let losses = [
    4.295142169, 4.288206877, 4.271230599, 4.229598247, 4.292344522, 4.213439179,
    4.209150066, 4.214648884, 4.110481931, 4.176217769, 4.100660596, 3.990513623,
    4.029357505, 4.007034761, 3.950101449, 3.942793756, 3.865005233, 3.926603004,
    3.879535371, 3.812887312, 3.826167937, 3.807032194, 3.810373185, 3.771125147,
    3.718125688, 3.727914751, 3.678513624, 3.626442484, 3.586575703, 3.674201476,
    3.647309738, 3.568653095, 3.596312960, 3.540495427, 3.502398810, 3.466786609,
    3.488079743, 3.374621324, 3.432171586, 3.430869217, 3.392245616, 3.414169720,
    3.318403640, 3.258792574, 3.297233891, 3.279251763, 3.266178692, 3.192633932,
    3.186350826, 3.169802181, 3.162494600, 3.208439969, 3.229391486, 3.153722189,
    3.032781373, 3.100346692, 3.096229142, 3.054127006, 3.002581531, 2.994471975,
    2.995751016, 3.078436576, 3.014967818, 3.032899496, 2.914785616, 2.996160464,
    2.931787642, 2.970223918, 2.947635822, 2.895187485, 2.906950445, 2.874438003,
    2.974827590, 2.873393192, 2.879167919, 2.892597951, 2.894187148, 2.821133322,
    2.888660924, 2.816189263, 2.749745022, 2.836501578, 2.768442859, 2.866706209,
    2.894468516, 2.766577083, 2.859439444, 2.788802298, 2.811185073, 2.819594365,
    2.759199217, 2.859050759, 2.784121754, 2.758917754, 2.717867727, 2.802206838,
    2.814410924, 2.807180008, 2.753458451, 2.767647687,
  ]
}

import Foundation
import GPUBackend
import Model
import Tensor
import TestSupport
import Testing
import Train

/// What a card is asked for in one training step at the size of real models, counted without a card.
///
/// `STEP_TABLE=1 swift test --filter StepTests` prints every kernel and product; docs/lab/card-step.md
/// explains the table.
@Suite struct StepTests {
  private static let positions = 65_536

  private static func model(
    vocabulary: Int, width: Int = 512, hidden: Int = 1_408, isTied: Bool = true,
    attention: AttentionConfig
  ) -> ModelConfig {
    var config = ModelConfig(
      vocabularySize: vocabulary, width: width, layers: 6, heads: width / 64, hidden: hidden)
    config.tiedHead = isTied
    config.use(attention)
    return config
  }

  /// Sentences of 2 to 120 tokens, 30 on average, that fill 65,536 positions.
  private static func sentences() -> [Int] {
    var (starts, random) = ([0], UInt64(1))
    while let last = starts.last, last < positions {
      random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let share = Double(random >> 33) / 0x1p31
      starts.append(min(positions, last + 2 + Int(min(118, -28 * log(1 - share)))))
    }
    return starts
  }

  /// One step of an optimizer after one batch.
  private func step(
    _ config: ModelConfig, _ optimizer: OptimizerConfig = OptimizerConfig()
  ) throws -> CountedDriver {
    let driver = CountedDriver()
    let kernels = GPUKernels(driver, precision: .bfloat16)
    let parameters = try Parameters(config, on: kernels)
    let gradients = try Parameters(config, on: kernels)
    let model = try Transformer(config, parameters: parameters, kernels: kernels)
    let optimizer = try Optimizer(optimizer, model: config, on: kernels)
    let starts = Self.sentences()
    let ids = (0..<Self.positions).map { Int32($0 * 7_919 % config.vocabularySize) }
    for round in 0..<2 {
      driver.reset()
      let began = Self.threadSeconds
      _ = try model.accumulateGradients(
        ids: ids, targets: ids, starts: starts, gradientScale: 1, dropout: nil, into: gradients)
      let norm = try Optimizer.norm(gradients, kernels: kernels)
      optimizer.update(
        parameters, gradients: gradients, step: 1, rate: 1e-3, gradientNorm: norm,
        kernels: kernels)
      model.weightsChanged()
      kernels.fill(gradients.all, with: 0)
      let seconds = Self.threadSeconds - began
      if round == 1, ProcessInfo.processInfo.environment["STEP_TABLE"] != nil {
        print(Self.table(driver, of: config, hostSeconds: seconds))
      }
    }
    return driver
  }

  /// What this thread has computed, whoever shares its core.
  private static var threadSeconds: Double {
    var time = timespec()
    clock_gettime(3, &time)  // the clock of a thread, by its number on Linux
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }

  private static func table(
    _ driver: CountedDriver, of config: ModelConfig, hostSeconds: Double
  ) -> String {
    let lines = driver.work.sorted { $0.value.seconds > $1.value.seconds }.map { name, work in
      String(
        format: "| %@ | %d | %.2f | %.2f | %.2f |", name, work.launches, work.bytes * 1e-9,
        work.flops * 1e-12, work.seconds * 1e3)
    }
    let all = driver.work.values
    let sum = String(
      format: "| all | %d | %.1f | %.2f | %.1f |", all.reduce(0) { $0 + $1.launches },
      all.reduce(0) { $0 + $1.bytes } * 1e-9, all.reduce(0) { $0 + $1.flops } * 1e-12,
      all.reduce(0) { $0 + $1.seconds } * 1e3)
    let title = String(
      format: "%d x %d, %d tokens, %@: %.2f GB at most, %.1f ms of one core", config.layers,
      config.width, config.vocabularySize, config.attention.kind.rawValue,
      Double(driver.mostBytes) * 1e-9, hostSeconds * 1e3)
    return ([title, "| | launches | GB | TFLOP | ms |", "|---|---|---|---|---|"] + lines + [sum])
      .joined(separator: "\n")
  }

  /// A model, what its step may take without attention, and its memory.
  struct Case: Sendable, CustomStringConvertible {
    let description: String
    let config: ModelConfig
    let seconds: Double
    let bytes: Int
  }

  private static let cases: [Case] = [
    Case(
      description: "6 x 512", config: model(vocabulary: 16_000, attention: .softmax),
      seconds: 26e-3, bytes: 6_100_000_000),
    Case(
      description: "h1d-53m",
      config: model(
        vocabulary: 33_300, hidden: 1_368, isTied: false,
        attention: .hierarchical(blockSize: 16, query: .coarse)),
      seconds: 35e-3, bytes: 6_800_000_000),
    Case(
      description: "h1d-144m",
      config: model(
        vocabulary: 33_300, width: 1_024, hidden: 2_736, isTied: false,
        attention: .hierarchical(blockSize: 16, query: .coarse)),
      seconds: 85e-3, bytes: 13_600_000_000),
  ]

  /// What is here takes time on every card; docs/lab/card-step.md has the sums, attention included.
  @Test(arguments: cases) func aStepIsMostlyProducts(_ example: Case) throws {
    let driver = try step(example.config)
    let work = driver.work.values
    #expect(work.reduce(0) { $0 + $1.launches } < 900)
    #expect(work.reduce(0) { $0 + $1.seconds } < example.seconds)
    // Of gradients of weights of a layer, which are ten times too slow where their sums are not cut.
    #expect(
      driver.work.keys.contains { $0.hasPrefix("product 3 of [\(2 * example.config.hidden)") })
    #expect(driver.mostBytes < example.bytes)
  }

  /// Muon moves matrices of one shape together: one by one they would take as long as all the rest of a step.
  @Test(arguments: MuonForm.allCases) func muonIsASmallPartOfAStep(form: MuonForm) throws {
    let config = Self.cases[1].config
    var muon = OptimizerConfig()
    muon.kind = .muon
    muon.muonForm = form == .standard ? nil : form
    let (plain, moved) = (try step(config), try step(config, muon))
    func sums(_ driver: CountedDriver) -> (seconds: Double, launches: Int) {
      driver.work.values.reduce((0, 0)) { ($0.0 + $1.seconds, $0.1 + $1.launches) }
    }
    let (without, with) = (sums(plain), sums(moved))
    #expect(with.seconds - without.seconds < 8e-3)
    #expect(with.launches - without.launches < 400)
    #expect(moved.mostBytes <= plain.mostBytes)
  }

  /// Matrices of one shape go together, in groups whose memory is bounded.
  @Test func muonGroupsMatricesOfOneShape() {
    let shapes = [(8, 8), (8, 16), (8, 8), (16, 8), (8, 8), (8, 16)].map {
      (rows: $0.0, columns: $0.1)
    }
    #expect(
      GPUKernels.muonGroups(shapes, form: .standard) == [[0, 2, 4], [1, 5], [3]])
    let large = Array(repeating: (rows: 2_000, columns: 2_000), count: 3)
    #expect(GPUKernels.muonGroups(large, form: .standard) == [[0], [1, 2]])
    let middle = Array(repeating: (rows: 512, columns: 512), count: 24)
    #expect(GPUKernels.muonGroups(middle, form: .gram).map(\.count) == [12, 12])
  }
}

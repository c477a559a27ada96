import DeviceCheck
import GPUBackend
import Tensor
import TestSupport
import Testing

/// Attention by tiles on the emulator, in single precision and in bfloat16: against the definitions, in
/// every order of threads, and what is promised bit for bit.
@Suite struct TileTests {
  private static let types = GPUKernels.Precision.allCases

  private func stage(
    _ tiles: TileCase, _ type: GPUKernels.Precision, _ order: EmulatedDriver.Order = .shuffled
  ) throws -> TileStage {
    try TileStage(
      tiles, on: GPUKernels(EmulatedDriver(order: order), precision: type),
      isRounded: type == .bfloat16)
  }

  @Test(arguments: TileCase.all, types)
  func agrees(tiles: TileCase, type: GPUKernels.Precision) throws {
    let expected = try TileStage(
      tiles, on: TestBackend.oracle.makeKernels(), isRounded: type == .bfloat16)
    expected.forward()
    expected.backward()
    var first: [[Float]]?
    for order in EmulatedDriver.Order.allCases {
      let actual = try stage(tiles, type, order)
      actual.forward()
      actual.backward()
      let numbers = try actual.results.map { try actual.numbers($0.view) }
      if let first {
        for (result, (a, b)) in zip(actual.results, zip(numbers, first)) {
          #expect(haveSameBits(a, b), "\(result.name) of threads in order \(order)")
        }
      } else {
        first = numbers
        try expectClose(actual, expected, type)
      }
    }
  }

  /// Definitions would take minutes here, so the other one is this processor.
  @Test(arguments: TileCase.long, types)
  func agreesOfLongSequences(tiles: TileCase, type: GPUKernels.Precision) throws {
    let expected = try TileStage(
      tiles, on: TestBackend.cpu.makeKernels(), isRounded: type == .bfloat16)
    let actual = try stage(tiles, type)
    for stage in [expected, actual] {
      stage.forward()
      stage.backward()
    }
    try expectClose(actual, expected, type)
  }

  private func expectClose(_ actual: TileStage, _ expected: TileStage, _ type: GPUKernels.Precision)
    throws
  {
    for (a, b) in zip(actual.results, expected.results) {
      let (x, y) = (try actual.numbers(a.view), try expected.numbers(b.view))
      if type == .float32 {
        let error = relativeError(x, y)
        #expect(error <= actual.kernels.promises.relativeError, "\(a.name) is off by \(error)")
      } else {
        let error = relativeNorm(x, y)
        #expect(error <= 1e-2, "\(a.name) is off by \(error)")
      }
    }
  }

  /// The norm of the difference relative to that of the expected.
  private func relativeNorm(_ actual: [Float], _ expected: [Float]) -> Double {
    var (difference, size) = (0.0, 0.0)
    for (x, y) in zip(actual, expected) {
      difference += (Double(x) - Double(y)) * (Double(x) - Double(y))
      size += Double(y) * Double(y)
    }
    return difference.isFinite ? (difference / max(size, 1e-30)).squareRoot() : .infinity
  }

  private static let promised = [
    TileCase(kind: .softmax(biasLength: 40), lengths: [150], width: 32),
    TileCase(kind: .hierarchical(blockSize: 16, isFine: false), lengths: [290], width: 32),
    TileCase(kind: .hierarchical(blockSize: 16, isFine: true), lengths: [290], width: 48),
  ]

  /// A prefix at once, then a position at a time, past the doubling of a stream's memory; then streams of
  /// different lengths in one call.
  @Test(arguments: promised, types)
  func decodingIsTheFullPass(tiles: TileCase, type: GPUKernels.Precision) throws {
    let stage = try self.stage(tiles, type)
    stage.forward()
    let full = try stage.numbers(stage.tensors.o)
    func expect(_ o: [Float], _ first: Int, _ what: String) {
      let place = first * tiles.columns
      #expect(haveSameBits(o, Array(full[place..<place + o.count])), "\(what) at \(first)")
    }
    let state = try stage.makeState()
    expect(try stage.step(0..<101, [state]), 0, "prefix")
    let (one, other) = (state.copy(), state.copy())
    for row in 101..<tiles.lengths[0] {
      expect(try stage.step(row..<row + 1, [state]), row, "step")
    }
    #expect(state.bytes > one.bytes)
    expect(try stage.step(101..<102, [one]), 101, "fork")
    expect(try stage.step(101..<103, [other, one]), 101, "two streams")
  }

  @Test(arguments: promised, types)
  func laterPositionsAreNotSeen(tiles: TileCase, type: GPUKernels.Precision) throws {
    let stage = try self.stage(tiles, type)
    stage.forward()
    let before = try stage.numbers(stage.tensors.o)
    let length = tiles.lengths[0]
    // From the end on, so that what has been changed stays behind the cut.
    for cut in [257, 256, 255, 100, 33, 16, 1] where cut < length {
      for view in [stage.tensors.q, stage.tensors.k, stage.tensors.v] {
        stage.kernels.fill(view.rows(cut..<length), with: cut % 2 == 0 ? 1e6 : -77)
      }
      stage.forward()
      let after = try stage.numbers(stage.tensors.o)
      let past = cut * tiles.columns
      #expect(haveSameBits(Array(after[..<past]), Array(before[..<past])), "cut at \(cut)")
      #expect(after[past...] != before[past...])
    }
  }

  @Test(arguments: promised, types)
  func sequencesAreAlone(tiles: TileCase, type: GPUKernels.Precision) throws {
    let batch = try stage(tiles.with(lengths: [5, 70, 0, 31, 150, 64]), type)
    batch.forward()
    batch.backward()
    let starts = batch.tiles.starts
    for (start, end) in zip(starts, starts.dropFirst()) where start < end {
      let alone = try TileStage(
        tiles.with(lengths: [end - start]), on: batch.kernels, isRounded: type == .bfloat16)
      let (from, to) = (batch.tensors, alone.tensors)
      for (source, target) in [
        (from.q, to.q), (from.k, to.k), (from.v, to.v), (batch.gradients.dO, alone.gradients.dO),
      ] { batch.kernels.copy(source.rows(start..<end), to: target) }
      alone.forward()
      alone.backward()
      for (one, all) in zip(alone.rowViews, batch.rowViews) {
        #expect(
          haveSameBits(
            try alone.numbers(one.view), try batch.numbers(all.view.rows(start..<end))),
          "\(one.name) of \(start)..<\(end)")
      }
    }
  }
}

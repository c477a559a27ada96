import Deterministic
import GPUBackend
import Tensor
import TestSupport
import Testing

/// Products of a card: how they are asked for, and which algorithm computes them.
@Suite struct ProductTests {
  /// Random numbers on both drivers.
  private struct Twins {
    let card: CUDADriver
    let plain = EmulatedDriver()

    func matrix(
      _ rows: Int, _ columns: Int, _ type: NumberType, padding: Int, shift: Int = 0, seed: UInt64
    ) throws -> [View] {
      let stride = columns + padding
      let count = rows * stride + shift
      let numbers = CounterRandom(seed: seed).gaussians(0..<count, deviation: 1)
      let bytes: [UInt8] =
        type == .float32
        ? numbers.withUnsafeBytes { Array($0) }
        : numbers.flatMap {
          let bits = $0.bitPattern >> 16
          return [UInt8(bits & 255), UInt8(bits >> 8)]
        }
      let drivers: [any GPUDriver] = [card, plain]
      return try drivers.map { driver in
        let address = try driver.allocate(bytes: bytes.count)
        bytes.withUnsafeBytes { driver.copyIn($0, to: address) }
        let size = bytes.count
        let place = UInt(bitPattern: address)
        let buffer = Buffer(
          address: address, count: count, type: type, home: .device, bytes: size
        ) {
          guard let address = UnsafeMutableRawPointer(bitPattern: place) else { return }
          driver.free(address, bytes: size)
        }
        return View(buffer, offset: shift, rows: rows, columns: columns, stride: stride)
      }
    }

    /// Everything in the memory behind a view, gaps included.
    func bytes(_ driver: any GPUDriver, _ view: View) throws -> [UInt8] {
      var bytes = [UInt8](repeating: 0, count: view.buffer.count * view.buffer.type.bytes)
      var fault: DeviceError?
      bytes.withUnsafeMutableBytes { target in
        do throws(DeviceError) {
          try driver.copyOut(view.buffer.address, into: target)
        } catch {
          fault = error
        }
      }
      if let fault { throw fault }
      return bytes
    }
  }

  private static let float = NumberType.float32
  private static let bf16 = NumberType.brain16

  /// Every transposition, every pair of types, rows on 16 bytes and not: what cuBLASLt is asked for is
  /// what the plain loops compute.
  @Test(arguments: [
    (float, float, float), (bf16, bf16, bf16), (bf16, bf16, float), (float, bf16, float),
    (bf16, float, bf16), (float, float, bf16),
  ])
  func productsAreThoseOfPlainLoops(types: (NumberType, NumberType, NumberType)) throws {
    let twins = Twins(card: try CUDASandbox().driver())
    for (m, n, k) in [(1, 1, 1), (1, 8, 16), (5, 16, 8), (17, 9, 33), (40, 64, 24)] {
      for number in 0..<16 {
        let (ta, tb) = (number & 1 != 0, number & 2 != 0)
        let (padding, shift) = (number & 4 != 0 ? (3, 1) : (0, 0))
        let accumulate = number & 8 != 0
        let a = try twins.matrix(
          ta ? k : m, ta ? m : k, types.0, padding: padding, shift: shift, seed: 1)
        let b = try twins.matrix(
          tb ? n : k, tb ? k : n, types.1, padding: padding, shift: shift, seed: 2)
        let c = try twins.matrix(m, n, types.2, padding: padding, shift: shift, seed: 3)
        let drivers: [any GPUDriver] = [twins.card, twins.plain]
        let results = try zip(drivers, [0, 1]).map { driver, index in
          driver.product(
            GPUProduct(
              c[index], .init(a[index], isTransposed: ta), .init(b[index], isTransposed: tb),
              accumulate: accumulate, rowsAreIndependent: !ta))
          return try twins.bytes(driver, c[index])
        }
        #expect(
          results[0] == results[1],
          "[\(m), \(k)] \(ta) by [\(k), \(n)] \(tb), \(types), padding \(padding), \(accumulate)")
      }
    }
  }

  /// Several products at once are so many products.
  @Test func partsAreProductsOfTheirOwn() throws {
    let twins = Twins(card: try CUDASandbox().driver())
    for (input, output, padding) in [
      (Self.bf16, Self.float, 0), (Self.float, Self.float, 3), (Self.bf16, Self.bf16, 1),
    ] {
      let a = try twins.matrix(3 * 40, 16, input, padding: padding, seed: 1)
      let b = try twins.matrix(3 * 40, 24, input, padding: padding, seed: 2)
      let c = try twins.matrix(3 * 16, 24, output, padding: padding, seed: 3)
      func product(_ index: Int, _ part: Int?) -> GPUProduct {
        let (of40, of16) = (
          part.map { 40 * $0..<40 * $0 + 40 }, part.map { 16 * $0..<16 * $0 + 16 }
        )
        return GPUProduct(
          c[index].rows(of16 ?? 0..<48),
          .init(a[index].rows(of40 ?? 0..<120), isTransposed: true),
          .init(b[index].rows(of40 ?? 0..<120)), accumulate: true, rowsAreIndependent: false,
          parts: part == nil ? 3 : 1)
      }
      twins.card.product(product(0, nil))
      let together = try twins.bytes(twins.card, c[0])
      for part in 0..<3 { twins.plain.product(product(1, part)) }
      #expect(try together == twins.bytes(twins.plain, c[1]))
    }
  }

  private func multiply(_ driver: CUDADriver, rows: Int, independent: Bool) throws {
    let kernels = GPUKernels(driver)
    let x = try kernels.makeView(rows: rows, columns: 24)
    let w = try kernels.makeView(rows: 40, columns: 24)
    let y = try kernels.makeView(rows: rows, columns: 40)
    if independent {
      kernels.linearForward(y: y, x: x, w: w, accumulate: false)
    } else {
      kernels.linearBackwardWeight(dw: w, dy: y, x: x)
    }
    try kernels.synchronize()
  }

  /// What keeps few multiprocessors busy is cut along its sum, into parts of the same size and a few rows.
  @Test func longSumsAreCut() {
    func cut(_ rows: Int, _ columns: Int, _ depth: Int) -> Int {
      DepthSlices(rows: rows, columns: columns, depth: depth).count
    }
    #expect(cut(512, 512, 65_536) == 16 && cut(512, 512, 65_535) == 16)
    #expect(cut(2_816, 512, 65_536) == 3 && cut(3_072, 1_024, 65_536) == 4)
    // A head keeps the card busy by itself, and a short sum is none.
    #expect(cut(16_000, 512, 8_192) == 1 && cut(512, 512, 2_047) == 1 && cut(5, 9, 0) == 1)
    #expect(DepthSlices(rows: 8, columns: 8, depth: 4_099).depth == 1_024)
  }

  /// The gradient of a weight that is cut into slices is that of plain sums, the rows that are left over
  /// included, and is added to what is there.
  @Test func slicesAddUp() throws {
    let kernels = GPUKernels(EmulatedDriver())
    let (positions, rows, columns) = (3_077, 5, 11)
    func random(_ rows: Int, _ columns: Int, seed: UInt64) throws -> (View, [Float]) {
      let view = try kernels.makeView(rows: rows, columns: columns)
      let numbers = CounterRandom(seed: seed).gaussians(0..<rows * columns, deviation: 1)
      try kernels.write(numbers, to: view)
      return (view, numbers)
    }
    let (dw, before) = try random(rows, columns, seed: 1)
    let (dy, y) = try random(positions, rows, seed: 2)
    let (x, inputs) = try random(positions, columns, seed: 3)
    #expect(DepthSlices(rows: rows, columns: columns, depth: positions).count == 3)
    kernels.linearBackwardWeight(dw: dw, dy: dy, x: x)
    let sums = try kernels.numbers(of: dw)
    for row in 0..<rows {
      for column in 0..<columns {
        let sum = (0..<positions).reduce(Double(before[row * columns + column])) {
          $0 + Double(y[$1 * rows + row]) * Double(inputs[$1 * columns + column])
        }
        #expect(abs(Double(sums[row * columns + column]) - sum) < 1e-3)
      }
    }
  }

  /// Of many algorithms the first that keeps its promises is taken, once, for every number of rows.
  @Test func oneGoodAlgorithmIsPinned() throws {
    let sandbox = try CUDASandbox("algorithms=2:6:3:4:5:7:8:1")
    let driver = try sandbox.driver()
    for rows in [500, 1, 7, 3_000] { try multiply(driver, rows: rows, independent: true) }
    #expect(sandbox.count("cublasLtMatmulAlgoGetHeuristic") == 1)
    #expect(driver.algorithms == ["[any, 24] × [24, 40]ᵀ, F32 to F32": 8])
  }

  /// One algorithm computes the products of one matrix and of many of its shape, with the same bits; where there
  /// is none, each is computed by itself.
  @Test(arguments: [("2:9:4:8", 2, 8), ("2:4:9", 4, 9)])
  func partsShareAnAlgorithm(algorithms: String, asked: Int, pinned: Int) throws {
    let sandbox = try CUDASandbox("algorithms=\(algorithms)")
    let driver = try sandbox.driver()
    let kernels = GPUKernels(driver)
    func matrix(_ seed: UInt64) throws -> MuonMatrix {
      let views = try (0..<3).map { place in
        let view = try kernels.makeView(rows: 24, columns: 24)
        let numbers = CounterRandom(seed: seed, UInt64(place)).gaussians(0..<576, deviation: 1)
        try kernels.write(numbers, to: view)
        return view
      }
      return MuonMatrix(parameters: views[0], gradients: views[1], momentum: views[2])
    }
    let step = MuonStep(rate: 0.1, beta: 0.9, decay: 0.1, gradientScale: 1, form: .gram)
    var moved: [[[Float]]] = []
    for together in [[1, 2, 3], [1], [2, 3, 4, 5]] {
      let matrices = try together.map { try matrix(UInt64($0)) }
      kernels.muon(matrices, step)
      moved.append(try matrices.map { try kernels.numbers(of: $0.parameters) })
    }
    #expect(moved[1][0] == moved[0][0] && Array(moved[2][..<2]) == Array(moved[0][1...]))
    #expect(moved[0][0] != moved[0][1])
    #expect(Set(driver.algorithms.values) == [pinned])
    // Squares of x, and of squares: two kinds, whatever their number, or each of them alone as well.
    #expect(sandbox.count("cublasLtMatmulAlgoGetHeuristic") == asked)
  }

  /// Gradients of weights need the same bits from run to run alone; batches of about one size share an
  /// algorithm.
  @Test func gradientsOfWeightsAreRepeatable() throws {
    let sandbox = try CUDASandbox("algorithms=2:4:3:1")
    let driver = try sandbox.driver()
    for rows in [500, 480, 300, 600] { try multiply(driver, rows: rows, independent: false) }
    #expect(sandbox.count("cublasLtMatmulAlgoGetHeuristic") == 2)
    // The number of rows of the result never changes, so an algorithm that minds it will do.
    #expect(Set(driver.algorithms.values) == [3])
    #expect(driver.algorithms.keys.contains("[40, 512]ᵀ × [512, 24], F32 to F32"))
  }

  @Test func withoutAGoodAlgorithmOneSentenceSaysSo() throws {
    for (algorithms, text) in [
      ("2:6", "proposes no algorithm for the product"),
      ("3:4:7", "proposes 3 algorithms, none of which keeps its bits, for the product"),
    ] {
      let sandbox = try CUDASandbox("algorithms=\(algorithms)")
      let driver = try sandbox.driver()
      let error = #expect(throws: DeviceError.self) {
        try multiply(driver, rows: 20, independent: true)
      }
      #expect("\(try #require(error))".contains(text), "\(String(describing: error))")
    }
  }

  /// What the library refuses when it is run is no product of zeros.
  @Test func arefusalIsAnError() throws {
    let sandbox = try CUDASandbox()
    let driver = try sandbox.driver()
    try multiply(driver, rows: 20, independent: true)
    sandbox.tell("cublasLtMatmul=13@1")
    let error = #expect(throws: DeviceError.self) {
      try multiply(driver, rows: 20, independent: true)
    }
    #expect("\(try #require(error))".contains("of 20 rows (status 13)"))
  }
}

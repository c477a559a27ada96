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

  /// Of many algorithms the first that keeps its promises is taken, once, for every number of rows.
  @Test func oneGoodAlgorithmIsPinned() throws {
    let sandbox = try CUDASandbox("algorithms=2:6:3:4:5:7:8:1")
    let driver = try sandbox.driver()
    for rows in [500, 1, 7, 3_000] { try multiply(driver, rows: rows, independent: true) }
    #expect(sandbox.count("cublasLtMatmulAlgoGetHeuristic") == 1)
    #expect(driver.algorithms == ["[any, 24] × [24, 40]ᵀ, F32 to F32": 8])
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

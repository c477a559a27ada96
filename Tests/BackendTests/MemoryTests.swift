import DeviceCheck
import Deterministic
import Tensor
import TestSupport
import Testing

/// The verbs of memory, on every back end.
@Suite struct MemoryTests {
  @Test(arguments: TestBackend.allCases) func memoryIsZeroedAndCounted(backend: TestBackend) throws
  {
    let kernels = try backend.makeKernels()
    let buffer = try kernels.makeBuffer(count: 1_000)
    #expect(buffer.count == 1_000)
    #expect(buffer.bytes > 0 && buffer.bytes <= kernels.bytes(count: 1_000))
    let all = View(buffer, offset: 0, rows: 1, columns: 1_000)
    #expect(try kernels.numbers(of: all).allSatisfy { $0 == 0 })
    #expect(throws: DeviceError.self) { try kernels.makeBuffer(count: Buffer.mostNumbers) }
    let plan = WorkPlan(
      positions: 10, width: 8, vocabulary: 20, products: [], muon: [(4, 6)],
      attention: WorkingNeed(task: 100, shared: 50), attentionTasks: 2)
    try kernels.reserveWorkingMemory(plan)
    try kernels.synchronize()
    kernels.releaseWorkingMemory()
  }

  /// Numbers come back as they were, and what lies between them stays.
  @Test(arguments: TestBackend.allCases, Shape.all)
  func whatIsWrittenIsRead(backend: TestBackend, shape: Shape) throws {
    let stage = Stage(try backend.makeKernels())
    let whole = try stage.filled(shape.rows + 2, shape.columns + 3, with: 7)
    let inner = whole.rows(1..<shape.rows + 1).columns(2..<shape.columns + 2)
    // Whole numbers, which every type of activations holds.
    let numbers = (0..<inner.count).map { Float($0 % 100) + 8 }
    try stage.kernels.write(numbers, to: inner)
    #expect(haveSameBits(try stage.numbers(inner), numbers))
    // Memory that an array has is used again, whatever it holds.
    var read: [Float] = [1, 2, 3]
    try stage.kernels.read(inner, into: &read)
    #expect(haveSameBits(read, numbers))
    let others = try stage.numbers(whole).count { $0 == 7 }
    #expect(others == whole.count - inner.count)
    stage.kernels.fill(inner, with: -2)
    #expect(try stage.numbers(inner).allSatisfy { $0 == -2 })
    #expect(try stage.numbers(whole).count { $0 == 7 } == others)
  }

  /// What is read is there, what is written comes back, and everything else stays.
  @Test(arguments: TestBackend.allCases) func partsAreReadAndWrittenInTheirPlaces(
    backend: TestBackend
  ) throws {
    let stage = Stage(try backend.makeKernels())
    let whole = try stage.filled(1, 40, with: 7)
    let x = View(whole.buffer, offset: whole.offset + 2, rows: 1, columns: 30)
    let (read, written) = ([1..<4, 0..<0, 20..<30, 1..<4], [4..<6, 10..<11])
    try stage.kernels.write((0..<30).map { Float($0) }, to: x)
    try stage.kernels.withMutableFloats(of: x, reading: read, writing: written) { bytes in
      #expect(bytes.count == 120)
      let numbers = bytes.bindMemory(to: Float.self)
      for range in read { for n in range { #expect(numbers[n] == Float(n)) } }
      for range in written { for n in range { numbers[n] = -1 } }
    }
    var expected = [Float](repeating: 7, count: 40)
    for n in 0..<30 { expected[n + 2] = written.contains { $0.contains(n) } ? -1 : Float(n) }
    #expect(try stage.numbers(whole) == expected)
  }

  /// Heads may lie anywhere, and are the same matrix all the same.
  @Test(arguments: TestBackend.allCases) func headsAreCopiedFromRowsAndBack(backend: TestBackend)
    throws
  {
    let stage = Stage(try backend.makeKernels())
    let plain = try stage.random(9, 12, seed: 1)
    let heads = try stage.kernels.makeHeads(rows: 9, columns: 12, headWidth: 4)
    stage.kernels.copy(plain, to: heads)
    #expect(try stage.numbers(heads) == stage.numbers(plain))
    #expect(
      try stage.numbers(heads.columns(4..<8).rows(2..<5))
        == stage.numbers(plain.columns(4..<8).rows(2..<5)))
    let back = try stage.copy(of: heads)
    #expect(try stage.numbers(back) == stage.numbers(plain))
  }

  @Test(arguments: TestBackend.allCases, [NumberType.float32, .brain16, .half])
  func bytesOfFilesAreWidened(backend: TestBackend, type: NumberType) throws {
    // 1.5 and -2 in the upper half of a float32 and as IEEE 754 binary16.
    let bits: [UInt32] =
      switch type {
      case .brain16: [0x3FC0, 0xC000]
      case .half: [0x3E00, 0xC000]
      default: [Float(1.5).bitPattern, Float(-2).bitPattern]
      }
    let bytes = bits.flatMap { bits in
      (0..<type.bytes).map { UInt8(truncatingIfNeeded: bits >> (8 * UInt32($0))) }
    }
    let stage = Stage(try backend.makeKernels())
    let view = try stage.zeros(1, 2)
    try bytes.withUnsafeBytes { try stage.kernels.write($0, type: type, to: view) }
    #expect(try stage.numbers(view) == [1.5, -2])
  }

  /// Files take float32, in one part or in several.
  @Test(arguments: TestBackend.allCases, [1, 4_095, 4_096, 10_001])
  func floatsGoOutInOrder(backend: TestBackend, count: Int) throws {
    let stage = Stage(try backend.makeKernels())
    let view = try stage.random(1, count, seed: 2)
    var bytes: [UInt8] = []
    try stage.kernels.withFloats(of: view) { bytes += $0 }
    let expected = try stage.numbers(view).flatMap { number in
      withUnsafeBytes(of: number.bitPattern.littleEndian) { Array($0) }
    }
    #expect(bytes == expected)
  }

  /// Memory of somebody else is let go with the last view, and at once where it cannot be lent.
  @Test(arguments: TestBackend.allCases) func borrowedMemoryIsReadAndReleased(backend: TestBackend)
    throws
  {
    final class Owner: Sendable {}
    let stage = Stage(try backend.makeKernels())
    weak var watched: Owner?
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 8, alignment: 8)
    defer { memory.deallocate() }
    memory.storeBytes(of: Float(3).bitPattern.littleEndian, as: UInt32.self)
    memory.storeBytes(of: Float(-1).bitPattern.littleEndian, toByteOffset: 4, as: UInt32.self)
    do {
      let owner = Owner()
      watched = owner
      let buffer = stage.kernels.borrow(
        UnsafeRawBufferPointer(memory), type: .float32,
        release: { withExtendedLifetime(owner) {} })
      if let buffer {
        #expect(buffer.bytes == 0 && buffer.count == 2)
        #expect(try stage.numbers(View(buffer, offset: 0, rows: 1, columns: 2)) == [3, -1])
      }
    }
    #expect(watched == nil)
  }
}

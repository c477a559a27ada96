/// Memory of one device: how it is made, filled, copied, read and written, and what is promised of it.
///
/// Work is done in the order in which it is asked for. A device may do it later than it is asked for;
/// then its errors come with the next call that throws, and ``read(_:into:)``, ``withFloats(of:_:)``
/// and ``synchronize()`` wait for it.
package protocol Device: Sendable {
  /// As `--device` takes it.
  var name: String { get }

  /// What holds for every figure of this device, bit for bit or within a bound.
  var promises: Promises { get }

  /// How activations lay out the heads of an attention.
  var headLayout: HeadLayout { get }

  // MARK: Memory

  /// The type of numbers that are kept for a use.
  func type(for use: NumberUse) -> NumberType

  /// Zeroed memory.
  ///
  /// - Parameters:
  ///   - count: Numbers.
  ///   - use: What they are kept for.
  /// - Throws: `DeviceError.outOfMemory` if there is no such memory.
  func makeBuffer(count: Int, for use: NumberUse) throws(DeviceError) -> Buffer

  /// Bytes that a buffer of so many numbers takes.
  func bytes(count: Int, for use: NumberUse) -> Int

  /// Bytes of its own memory that nobody has taken; nil where it takes this process's.
  var freeBytes: Int? { get }

  /// Memory that somebody else owns, where the kernels can read it as it is; else nil.
  ///
  /// - Parameters:
  ///   - bytes: Little-endian numbers, not to be written.
  ///   - type: What they are.
  ///   - release: Called once when the last view is gone; it keeps the owner alive.
  func borrow(
    _ bytes: UnsafeRawBufferPointer, type: NumberType, release: @escaping @Sendable () -> Void
  ) -> Buffer?

  /// Sets every element.
  func fill(_ x: View, with value: Float)

  /// Copies the elements of a view of the same shape.
  func copy(_ source: View, to destination: View)

  /// The elements, row after row, rounded to single precision; waits for the device.
  ///
  /// - Parameters:
  ///   - x: `[R, C]`.
  ///   - numbers: Takes them, `R * C`; memory that it has is used again.
  func read(_ x: View, into numbers: inout [Float]) throws(DeviceError)

  /// Writes the elements, row after row.
  ///
  /// - Parameters:
  ///   - numbers: `R * C`.
  ///   - x: `[R, C]`.
  func write(_ numbers: [Float], to x: View) throws(DeviceError)

  /// Writes the elements of contiguous memory from a file.
  ///
  /// - Parameters:
  ///   - bytes: Little-endian numbers, as many as the view has.
  ///   - type: What they are; each is a float32.
  ///   - x: Contiguous.
  func write(_ bytes: UnsafeRawBufferPointer, type: NumberType, to x: View) throws(DeviceError)

  /// Calls `body` with the elements of contiguous memory as little-endian float32, perhaps a part
  /// after the other, in order; waits for the device.
  func withFloats(of x: View, _ body: (UnsafeRawBufferPointer) throws -> Void) throws

  /// Calls `body` with contiguous memory as little-endian float32, each element in its place, and takes
  /// what it writes there; waits for the device.
  ///
  /// - Parameters:
  ///   - x: Contiguous.
  ///   - read: The elements that `body` finds there; others may be anything.
  ///   - written: The elements that it may write; it must write all of them.
  ///   - body: Given the bytes of all elements.
  func withMutableFloats(
    of x: View, reading read: [Range<Int>], writing written: [Range<Int>],
    _ body: (UnsafeMutableRawBufferPointer) throws -> Void
  ) throws

  /// Places whole numbers where kernels read them.
  func place(_ numbers: [Int32]) throws(DeviceError) -> Indices

  /// Waits for all work.
  ///
  /// - Throws: What went wrong meanwhile.
  func synchronize() throws(DeviceError)

  // MARK: Work beside other work

  /// Kernels of the same device and memory whose work is done beside that of these, in an order of its
  /// own; these kernels themselves where work is done when it is asked for.
  func makeSibling() throws(DeviceError) -> any Kernels

  /// The work that has been asked for so far; nil where it is done already.
  func mark() throws(DeviceError) -> WorkMark?

  /// Begins what is asked for from now on only once the work of a mark is done; does not wait.
  ///
  /// - Parameter mark: Of a sibling.
  func follow(_ mark: WorkMark?)

  // MARK: Planning

  /// Whether a head of an attention is a task of its own, so that one head tells what every task
  /// borrows.
  var headsAreTasks: Bool { get }

  /// What kernels borrow while `body` runs, beyond the tensors they are given.
  func workingNeed(_ body: () -> Void) -> WorkingNeed

  /// Bytes that the kernels of a training step or of scoring keep between calls.
  func workingBytes(_ plan: WorkPlan) -> Int

  /// Takes the memory of ``workingBytes(_:)`` at once, in place of what is there.
  ///
  /// Left to the kernels, how much of it a run takes would follow from how many pieces of work happen
  /// to meet, and a shortage would be found in the middle of a step.
  ///
  /// - Throws: `DeviceError.outOfMemory` if there is not as much.
  func reserveWorkingMemory(_ plan: WorkPlan) throws(DeviceError)

  /// Gives back all memory that no kernel uses at the moment.
  func releaseWorkingMemory()
}

extension Device {
  /// Whether products read and write another type than weights are kept in.
  package var hasTwoTypes: Bool { type(for: .compute) != type(for: .master) }

  /// Zeroed memory of the type that weights are kept in.
  package func makeBuffer(count: Int) throws(DeviceError) -> Buffer {
    try makeBuffer(count: count, for: .master)
  }

  /// Bytes that a buffer of so many numbers takes, of the type that weights are kept in.
  package func bytes(count: Int) -> Int { bytes(count: count, for: .master) }

  /// By a copy of those elements in the memory of this process.
  package func withMutableFloats(
    of x: View, reading read: [Range<Int>], writing written: [Range<Int>],
    _ body: (UnsafeMutableRawBufferPointer) throws -> Void
  ) throws {
    precondition(x.isContiguous, "bytes of a strided view")
    func part(_ range: Range<Int>) -> View {
      View(x.buffer, offset: x.offset + range.lowerBound, rows: 1, columns: range.count)
    }
    // As large as the view so that everything has its place; what nobody touches takes no memory.
    let memory = UnsafeMutableRawBufferPointer.allocate(
      byteCount: max(1, 4 * x.count), alignment: 16)
    defer { memory.deallocate() }
    for range in Set(read) where !range.isEmpty {
      var place = 4 * range.lowerBound
      try withFloats(of: part(range)) { bytes in
        memory[place..<place + bytes.count].copyBytes(from: bytes)
        place += bytes.count
      }
    }
    try body(memory)
    for range in written where !range.isEmpty {
      let bytes = memory[4 * range.lowerBound..<4 * range.upperBound]
      try write(UnsafeRawBufferPointer(rebasing: bytes), type: .float32, to: part(range))
    }
  }

  /// The elements, row after row, rounded to single precision; waits for the device.
  package func numbers(of x: View) throws(DeviceError) -> [Float] {
    var numbers: [Float] = []
    try read(x, into: &numbers)
    return numbers
  }

  /// A zeroed matrix of its own.
  package func makeView(
    rows: Int, columns: Int, for use: NumberUse = .master
  ) throws(DeviceError) -> View {
    View(try makeBuffer(count: rows * columns, for: use), offset: 0, rows: rows, columns: columns)
  }

  /// A zeroed matrix of its own for products, its heads as ``headLayout`` says.
  package func makeHeads(rows: Int, columns: Int, headWidth: Int) throws(DeviceError) -> View {
    switch headLayout {
    case .rows: return try makeView(rows: rows, columns: columns, for: .compute)
    case .bands:
      let count = View.numbers(rows: rows, columns: columns, bandWidth: headWidth)
      return View(
        try makeBuffer(count: count, for: .compute), offset: 0, rows: rows, columns: columns,
        bandWidth: headWidth)
    }
  }
}

/// What numbers are kept for, which decides their type on a device.
package enum NumberUse: Sendable {
  /// Weights that are moved, their gradients and moments, sums, logarithms, the residual stream.
  case master
  /// What products read and write: activations, their gradients, and a copy of the weights.
  case compute
}

/// What products read and write; their sums are float32 either way, as is what weights are kept in.
package enum Precision: String, Codable, Sendable, CaseIterable {
  case float32
  /// Eight significant bits, the exponents of float32.
  case bfloat16

  /// The precision of a name, as it is spelled here or elsewhere.
  package init?(named name: String) {
    switch name.lowercased() {
    case "float32", "fp32": self = .float32
    case "bfloat16", "bf16": self = .bfloat16
    default: return nil
    }
  }
}

/// How activations lay out the heads of an attention.
package enum HeadLayout: Sendable {
  /// All heads of a position side by side.
  case rows
  /// All positions of a head in one piece, which caches of a processor like.
  case bands
}

/// What a back end promises of its figures; tests ask it and hold it to that.
package struct Promises: Sendable, Equatable {
  /// The same bits from run to run, and for any number of threads.
  package let isRepeatable: Bool
  /// A row's figures have the same bits whatever rows are computed with it: scores do not depend on
  /// the batch, decoding equals the full pass, nothing comes from later positions.
  package let rowsAreIndependent: Bool
  /// Largest error of an element of an operation, relative to the largest element of its result.
  package let relativeError: Double

  package init(isRepeatable: Bool, rowsAreIndependent: Bool, relativeError: Double) {
    self.isRepeatable = isRepeatable
    self.rowsAreIndependent = rowsAreIndependent
    self.relativeError = relativeError
  }
}

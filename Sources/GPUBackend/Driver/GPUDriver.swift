package import Tensor

/// What the back end asks of a card, or of what stands in for one.
///
/// Work is done in the order in which it is asked for, later than the call returns. What went wrong
/// meanwhile comes with the next call that throws; until then further work is ignored.
package protocol GPUDriver: AnyObject, Sendable {
  /// As `--device` takes it.
  var name: String { get }

  /// Begins to compile the files of kernels that will be launched, and returns at once; without it a file
  /// is compiled when the first of its kernels is.
  func prepare(_ kernels: [GPUKernel])

  /// Bytes of memory, on 256 bytes, with any contents.
  ///
  /// - Throws: `DeviceError.cardIsFull` if the card has no such piece, or what went wrong before.
  func allocate(bytes: Int) throws(DeviceError) -> UnsafeMutableRawPointer

  /// Bytes that nobody has taken; nil where memory is this process's.
  var freeBytes: Int? { get }

  /// Bytes that the driver itself takes for products of these sizes, beside what it is asked for and what
  /// it has from the beginning.
  func ownBytes(_ products: [GPUProductSize]) -> Int

  /// Gives memory back, after the work that was asked for before.
  func free(_ address: UnsafeMutableRawPointer, bytes: Int)

  /// Sets words of 32 bits.
  func fill(_ address: UnsafeMutableRawPointer, word: UInt32, count: Int)

  /// Copies to the card; the source may change as soon as the call returns.
  func copyIn(_ source: UnsafeRawBufferPointer, to address: UnsafeMutableRawPointer)

  /// Copies from the card, and waits for it.
  func copyOut(
    _ address: UnsafeRawPointer, into target: UnsafeMutableRawBufferPointer
  ) throws(DeviceError)

  /// Runs a kernel.
  ///
  /// - Parameters:
  ///   - kernel: Which.
  ///   - grid: Blocks.
  ///   - block: Threads of a block.
  ///   - sharedBytes: Dynamic shared memory of a block.
  ///   - arguments: Where the value of each parameter is.
  func launch(
    _ kernel: GPUKernel, grid: GPUGrid, block: Int, sharedBytes: Int,
    arguments: UnsafeMutableBufferPointer<UnsafeMutableRawPointer?>)

  /// Computes a matrix product.
  func product(_ product: GPUProduct)

  /// Remembers a fault of the work for the next call that throws; the first one counts.
  func fail(_ error: DeviceError)

  /// Does not wait.
  ///
  /// - Throws: What has gone wrong so far.
  func check() throws(DeviceError)

  /// Waits for all work.
  ///
  /// - Throws: What went wrong.
  func synchronize() throws(DeviceError)

  /// Gives what was given back here on to others who use the card.
  func releaseMemory()

  /// A driver of the same card and memory whose work is done beside that of this one, in an order of its
  /// own; it has no products. This one itself where work is done when it is asked for.
  func makeSibling() throws(DeviceError) -> any GPUDriver

  /// The work that has been asked for so far; nil where it is done already.
  func mark() throws(DeviceError) -> WorkMark?

  /// Lets what is asked for from now on wait for the work of a sibling's mark.
  func follow(_ mark: WorkMark?)
}

extension GPUDriver {
  package func prepare(_ kernels: [GPUKernel]) {}
  package func releaseMemory() {}
  package func makeSibling() -> any GPUDriver { self }
  package func mark() -> WorkMark? { nil }
  package func follow(_ mark: WorkMark?) {}
  package func ownBytes(_ products: [GPUProductSize]) -> Int { 0 }
}

/// One kernel: a file of `CUDASource`, what it is compiled with, and a name in it.
package struct GPUKernel: Hashable, Sendable {
  /// The file's name without `.cu`.
  package let file: String
  /// Macros, as `WIDTH=64`.
  package let definitions: [String]
  package let name: String

  package init(_ file: String, _ name: String, definitions: [String] = []) {
    self.file = file
    self.name = name
    self.definitions = definitions
  }
}

/// Blocks of a launch.
package struct GPUGrid: Sendable, Equatable {
  package let x: Int
  package let y: Int
  package let z: Int

  package init(_ x: Int, _ y: Int = 1, _ z: Int = 1) {
    self.x = x
    self.y = y
    self.z = z
  }

  package var isEmpty: Bool { x == 0 || y == 0 || z == 0 }
}

/// `c [M, N] (+)= a b` with sums in single precision; `a` is [M, K] and `b` is [K, N], each as it is or
/// transposed in memory.
///
/// A row of `c` has the same bits whatever rows are computed with it, if `rowsAreIndependent`. Where there
/// are several parts, each of the three holds so many matrices of one shape, one below the other, and
/// every part is a product of its own; it has the same bits however many there are, if
/// `partsAreIndependent`.
package struct GPUProduct: Sendable {
  package struct Operand: Sendable {
    package let view: View
    package let isTransposed: Bool

    package init(_ view: View, isTransposed: Bool = false) {
      self.view = view
      self.isTransposed = isTransposed
    }
  }

  package let a: Operand
  package let b: Operand
  package let c: View
  package let accumulate: Bool
  package let rowsAreIndependent: Bool
  package let parts: Int
  package let partsAreIndependent: Bool
  /// Rows of a part of `c`, M.
  package let rows: Int
  /// The summed dimension, K.
  package let depth: Int

  package init(
    _ c: View, _ a: Operand, _ b: Operand, accumulate: Bool, rowsAreIndependent: Bool,
    parts: Int = 1, partsAreIndependent: Bool = false
  ) {
    precondition(
      parts >= 1 && [a.view, b.view, c].allSatisfy { $0.rows % parts == 0 },
      "\(a.view.rows), \(b.view.rows) and \(c.rows) rows in \(parts) parts")
    let (rowsOfA, rowsOfB) = (a.view.rows / parts, b.view.rows / parts)
    let (rows, depth) = a.isTransposed ? (a.view.columns, rowsOfA) : (rowsOfA, a.view.columns)
    let (depthOfB, columns) = b.isTransposed ? (b.view.columns, rowsOfB) : (rowsOfB, b.view.columns)
    precondition(
      depth == depthOfB && c.rows == rows * parts && c.columns == columns,
      "\(parts) of [\(rows), \(depth)] times [\(depthOfB), \(columns)] are not "
        + "[\(c.rows), \(c.columns)]")
    self.parts = parts
    self.partsAreIndependent = partsAreIndependent
    self.rows = rows
    self.a = a
    self.b = b
    self.c = c
    self.accumulate = accumulate
    self.rowsAreIndependent = rowsAreIndependent
    self.depth = depth
  }
}

extension GPUProduct {
  /// One of the parts as a product by itself.
  func alone(_ part: Int) -> GPUProduct {
    func one(_ view: View) -> View {
      let rows = view.rows / parts
      return view.rows(part * rows..<(part + 1) * rows)
    }
    return GPUProduct(
      one(c), Operand(one(a.view), isTransposed: a.isTransposed),
      Operand(one(b.view), isTransposed: b.isTransposed), accumulate: accumulate,
      rowsAreIndependent: rowsAreIndependent)
  }
}

/// The size of a product, as far as a driver's own memory follows from it.
package struct GPUProductSize: Sendable {
  /// Of the result, at most.
  package let rows: Int
  package let columns: Int
  /// The summed dimension.
  package let depth: Int
  /// Of the operands.
  package let input: NumberType
  /// Of the result.
  package let output: NumberType
  /// Whether the sum runs over the positions of a batch.
  package let isOverPositions: Bool
  /// Products of this size that are computed at once.
  package let parts: Int

  init(
    _ rows: Int, _ columns: Int, depth: Int, _ input: NumberType, _ output: NumberType,
    isOverPositions: Bool = false, parts: Int = 1
  ) {
    (self.rows, self.columns, self.depth) = (rows, columns, depth)
    (self.input, self.output) = (input, output)
    self.isOverPositions = isOverPositions
    self.parts = parts
  }
}

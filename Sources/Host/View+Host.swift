import Deterministic
public import Tensor

extension Buffer {
  /// The first number, where it is one of single precision that this process can follow; a back end
  /// that asks for it without that has a fault.
  @inlinable package var base: UnsafeMutablePointer<Float> {
    guard let floats else { preconditionFailure("memory of another device or type") }
    return floats
  }
}

/// What a back end that runs in this process does with its memory; nobody else imports it.
extension View {
  /// First element, taken once, before the loops; there is none of several bands.
  @inlinable package var base: UnsafeMutablePointer<Float> {
    precondition(hasOneBand, "[\(rows), \(columns)] in bands of \(bandWidth) has no one base")
    return buffer.base + offset
  }

  /// Where the first row has a column; the next rows follow in strides, the next columns as far as
  /// its band goes.
  @inlinable package func start(ofColumn column: Int) -> UnsafeMutablePointer<Float> {
    buffer.base + offset(ofColumn: column)
  }

  /// Allocates a zeroed matrix of its own.
  package init(rows: Int, columns: Int) {
    self.init(Buffer(count: rows * columns), offset: 0, rows: rows, columns: columns)
  }

  /// Allocates a zeroed matrix of its own, in bands.
  package init(rows: Int, columns: Int, bandWidth: Int) {
    let floats = Self.numbers(rows: rows, columns: columns, bandWidth: bandWidth)
    self.init(
      Buffer(count: floats), offset: 0, rows: rows, columns: columns, bandWidth: bandWidth)
  }

  /// First columns of the bands.
  private var bandStarts: StrideTo<Int> {
    Swift.stride(from: 0, to: columns, by: max(1, bandWidth))
  }

  /// Sets every element to `value`; many by all threads.
  package func fill(_ value: Float) {
    let grain = 1 << 18
    if isContiguous && count > grain {
      parallelFor(count, grain: grain) { range in
        (base + range.lowerBound).update(repeating: value, count: range.count)
      }
      return
    }
    parallelFor(rows, grain: max(1, (1 << 16) / max(1, columns))) { rows in
      for first in bandStarts {
        let band = start(ofColumn: first)
        for row in rows { (band + row * stride).update(repeating: value, count: bandWidth) }
      }
    }
  }

  /// Copies the elements of a view of the same shape; many by all threads.
  package func copy(from other: View) {
    precondition(
      rows == other.rows && columns == other.columns,
      "[\(rows), \(columns)] cannot take [\(other.rows), \(other.columns)]")
    let width = max(1, min(bandWidth, other.bandWidth))
    precondition(
      bandWidth % width == 0 && other.bandWidth % width == 0,
      "bands of \(bandWidth) and of \(other.bandWidth)")
    parallelFor(rows, grain: max(1, (1 << 16) / max(1, columns))) { rows in
      for first in Swift.stride(from: 0, to: columns, by: width) {
        let (to, from) = (start(ofColumn: first), other.start(ofColumn: first))
        for row in rows {
          (to + row * stride).update(from: from + row * other.stride, count: width)
        }
      }
    }
  }

  /// Element at a row and a column, checked; for tests and reports, not for kernels.
  package subscript(row: Int, column: Int) -> Float {
    get {
      precondition(row >= 0 && row < rows && column >= 0 && column < columns)
      return start(ofColumn: column)[row * stride]
    }
    nonmutating set {
      precondition(row >= 0 && row < rows && column >= 0 && column < columns)
      start(ofColumn: column)[row * stride] = newValue
    }
  }

  /// A copy of all elements, row after row.
  package var elements: [Float] {
    [Float](unsafeUninitializedCapacity: count) { numbers, initialized in
      copyElements(to: numbers)
      initialized = count
    }
  }

  /// Copies the elements, row after row, into as many numbers.
  package func read(into numbers: inout [Float]) {
    precondition(numbers.count == count, "\(numbers.count) numbers for \(count) elements")
    numbers.withUnsafeMutableBufferPointer { copyElements(to: $0) }
  }

  private func copyElements(to numbers: UnsafeMutableBufferPointer<Float>) {
    guard let target = numbers.baseAddress else { return }
    for first in bandStarts {
      let band = start(ofColumn: first)
      for row in 0..<rows {
        (target + row * columns + first).update(from: band + row * stride, count: bandWidth)
      }
    }
  }

  /// Writes the elements, row after row.
  package func write(_ numbers: [Float]) {
    precondition(numbers.count == count, "\(numbers.count) numbers for \(count) elements")
    numbers.withUnsafeBufferPointer { buffer in
      guard let source = buffer.baseAddress else { return }
      for first in bandStarts {
        let band = start(ofColumn: first)
        for row in 0..<rows {
          (band + row * stride).update(from: source + row * columns + first, count: bandWidth)
        }
      }
    }
  }

  /// A matrix of its own with the given elements, row after row.
  package init(rows: Int, columns: Int, elements: [Float]) {
    self.init(rows: rows, columns: columns)
    write(elements)
  }
}

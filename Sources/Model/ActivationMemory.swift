package import Tensor

/// Numbers of activations, by what they are kept for.
package struct ActivationSize: Sendable, Equatable {
  /// Of the type that weights are kept in; all of them on a device of one type.
  package var master = 0
  /// Of the type that products read and write.
  package var compute = 0

  package init(master: Int = 0, compute: Int = 0) {
    self.master = master
    self.compute = compute
  }

  /// Bytes that they take.
  package func bytes(on device: any Device) -> Int {
    device.bytes(count: master, for: .master)
      + (device.hasTwoTypes ? device.bytes(count: compute, for: .compute) : 0)
  }

  /// The larger of both, each use by itself.
  package func joined(_ other: ActivationSize) -> ActivationSize {
    ActivationSize(master: max(master, other.master), compute: max(compute, other.compute))
  }
}

/// The buffers from which activations are carved: one, or two where a device has two types.
package struct ActivationMemory: Sendable {
  package let master: Buffer
  package let compute: Buffer

  /// - Throws: `DeviceError.outOfMemory` if there is no such memory.
  package init(_ size: ActivationSize, on device: any Device) throws(DeviceError) {
    master = try device.makeBuffer(count: size.master, for: .master)
    compute =
      device.hasTwoTypes ? try device.makeBuffer(count: size.compute, for: .compute) : master
  }

  /// What it has room for.
  package var size: ActivationSize {
    ActivationSize(master: master.count, compute: compute === master ? 0 : compute.count)
  }

  package func holds(_ size: ActivationSize) -> Bool { self.size.joined(size) == self.size }
}

extension Activations {
  /// Hands out views one after the other; without memory it only counts.
  struct Arena {
    private let memory: ActivationMemory?
    private let heads: HeadLayout
    private let hasTwoTypes: Bool
    /// Whether outputs of normalisations are kept, not inputs.
    let keepsNorms: Bool
    private(set) var size = ActivationSize()

    init(memory: ActivationMemory?, on device: any Device) {
      self.memory = memory
      heads = device.headLayout
      hasTwoTypes = device.hasTwoTypes
      keepsNorms = device.hasTwoTypes && device is any TwoTypeKernels
    }

    /// Carves twice from the same memory, for what is never used at the same time.
    mutating func overlay<First, Second>(
      _ first: (inout Arena) -> First, _ second: (inout Arena) -> Second
    ) -> (First, Second) {
      let start = size
      let one = first(&self)
      let end = size
      size = start
      let other = second(&self)
      size = size.joined(end)
      return (one, other)
    }

    /// A size past every machine stays at that: a data set that lies about its longest sentence is
    /// refused for want of memory.
    private func end(
      of offset: Int, by numbers: (partialValue: Int, overflow: Bool)
    ) -> Int {
      let most = Buffer.mostNumbers
      return numbers.overflow || numbers.partialValue > most - offset - 15
        ? most : offset + (numbers.partialValue + 15) / 16 * 16
    }

    /// Takes so many numbers.
    ///
    /// - Returns: Where they are; nil while numbers are only counted.
    private mutating func reserve(
      _ numbers: (partialValue: Int, overflow: Bool), for use: NumberUse
    ) -> (buffer: Buffer, offset: Int)? {
      let offset: Int
      if hasTwoTypes, use == .compute {
        offset = size.compute
        size.compute = end(of: offset, by: numbers)
        return memory.map { ($0.compute, offset) }
      }
      offset = size.master
      size.master = end(of: offset, by: numbers)
      return memory.map { ($0.master, offset) }
    }

    mutating func carve(_ rows: Int, _ columns: Int, for use: NumberUse) -> View {
      guard let place = reserve(rows.multipliedReportingOverflow(by: columns), for: use) else {
        return View(.nothing, offset: 0, rows: 0, columns: 0)
      }
      return View(place.buffer, offset: place.offset, rows: rows, columns: columns)
    }

    /// A matrix of attention heads.
    mutating func carve(_ rows: Int, _ columns: Int, headWidth: Int) -> View {
      if case .rows = heads { return carve(rows, columns, for: .compute) }
      // Bands are rounded up one by one; the columns of a head are as good as all for a plan so large.
      var numbers = rows.multipliedReportingOverflow(by: columns)
      if columns > 0, !numbers.overflow, numbers.partialValue <= Buffer.mostNumbers {
        numbers = (View.numbers(rows: rows, columns: columns, bandWidth: headWidth), false)
      }
      guard let place = reserve(numbers, for: .compute) else {
        return View(.nothing, offset: 0, rows: 0, columns: 0)
      }
      return View(
        place.buffer, offset: place.offset, rows: rows, columns: columns, bandWidth: headWidth)
    }
  }
}

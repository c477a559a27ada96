import Model
import Tensor

/// One moment of the weights that a rank moves, in their order: all of them, or its part.
struct Moments: Sendable {
  private let owned: [Range<Int>]
  private let memory: View

  /// Zeroed memory.
  ///
  /// - Throws: `DeviceError.outOfMemory` if the device has no memory for it.
  init(_ owned: [Range<Int>], on device: any Device) throws(DeviceError) {
    self.owned = owned
    memory = try device.makeView(rows: 1, columns: owned.reduce(0) { $0 + $1.count })
  }

  /// The parts of a range of weights that this rank has, and where their moments lie.
  func parts(of range: Range<Int>) -> [(range: Range<Int>, moment: View)] {
    var parts: [(range: Range<Int>, moment: View)] = []
    var first = 0
    for own in owned {
      let part = own.clamped(to: range)
      if !part.isEmpty {
        let place = first + part.lowerBound - own.lowerBound
        parts.append((part, memory.part(place, count: part.count)))
      }
      first += own.count
    }
    return parts
  }

  /// The moments of all weights, where this rank has them.
  func whole(_ config: ModelConfig, on device: any Device) -> Parameters {
    Parameters(config, buffer: memory.buffer, on: device)
  }

  /// Copies this rank's part into memory of the size of all weights.
  func copy(into all: View, on device: any Device) {
    for (range, moment) in parts(of: 0..<all.count) {
      device.copy(moment, to: all.part(range.lowerBound, count: range.count))
    }
  }

  /// Takes this rank's part out of memory of the size of all weights.
  func take(from all: View, on device: any Device) {
    for (range, moment) in parts(of: 0..<all.count) {
      device.copy(all.part(range.lowerBound, count: range.count), to: moment)
    }
  }
}

package import Storage
package import Tensor

extension MemoryLimit {
  /// Throws if so many bytes of a device's memory cannot be taken.
  ///
  /// - Parameters:
  ///   - need: Bytes that are about to be taken.
  ///   - device: Whose memory it is.
  ///   - purpose: What for, as a noun with which the sentence begins.
  ///   - advice: The way out, an imperative.
  package static func require(
    _ need: Int, on device: any Device, for purpose: String, advice: String
  ) throws(MemoryShortage) {
    guard let free = device.freeBytes else {
      return try require(need, for: purpose, advice: advice)
    }
    guard need > free else { return }
    throw MemoryShortage(
      purpose: purpose, need: need,
      limit: MemoryLimit(room: free, reason: "the memory of device \(device.name)"),
      advice: advice)
  }
}

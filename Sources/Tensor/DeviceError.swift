/// What a device could not do.
package enum DeviceError: Error, Equatable, CustomStringConvertible {
  /// Memory that the system or the device refused.
  case outOfMemory(device: String, bytes: Int, held: Int)
  /// Something that a back end leaves out, as a noun.
  case unsupported(device: String, what: String)
  /// A fault of the device or its driver, as a sentence.
  case failed(device: String, problem: String)

  package var description: String {
    switch self {
    case .outOfMemory(let device, let bytes, let held):
      let owner = device == "cpu" ? "the system" : "device \(device)"
      return
        "\(owner) refused \(bytes) bytes of memory, beside the \(held) that are held; allow the "
        + "process more, or give it less at a time"
    case .unsupported(let device, let what):
      return "device \(device) has no \(what); choose another --device"
    case .failed(let device, let problem):
      return "device \(device): \(problem)"
    }
  }
}

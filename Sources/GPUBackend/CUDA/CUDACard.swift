import CCUDA
package import Tensor

/// A card of this machine.
package struct CUDACard: Sendable, Equatable, CustomStringConvertible {
  /// Its number, as in `cuda:1`.
  package let number: Int
  /// The maker's name, such as "NVIDIA H100 80GB HBM3".
  package let model: String
  /// Compute capability, such as 9.0.
  package let capability: Capability
  package let multiprocessors: Int
  /// All its memory.
  package let bytes: Int
  let hasPools: Bool
  /// The place where it is plugged in, such as `0000:3B:00.0`; parts of one card have the same.
  let busID: String

  package var description: String {
    "\(model), compute capability \(capability), \(bytes >> 20) MiB"
      + (capability < .least ? ", too old" : "")
  }

  /// As `--device` takes it.
  package var name: String { number == 0 ? "cuda" : "cuda:\(number)" }

  /// What a card's kernels may use; later ones run what was compiled for earlier ones of one major
  /// number.
  package struct Capability: Sendable, Hashable, Comparable, CustomStringConvertible {
    package let major: Int
    package let minor: Int

    package var description: String { "\(major).\(minor)" }

    package static func < (a: Self, b: Self) -> Bool { (a.major, a.minor) < (b.major, b.minor) }

    /// The oldest that the kernels are written for: earlier ones have no products of bfloat16.
    package static let least = Capability(major: 8, minor: 0)

    package init(major: Int, minor: Int) {
      self.major = major
      self.minor = minor
    }
  }

  /// All cards that this process may use, in the order of their numbers.
  package static func all(_ libraries: CUDALibraries) throws(DeviceError) -> [CUDACard] {
    let driver = libraries.driver
    var count: Int32 = 0
    let counted = driver.cuDeviceGetCount(&count)
    guard counted == CUDA_SUCCESS else {
      throw CUDAFault(counted, driver).error(device: "cuda", doing: "counting cards")
    }
    var cards: [CUDACard] = []
    for number in 0..<Int(count) { cards.append(try CUDACard(number, driver)) }
    return cards
  }

  /// One card.
  ///
  /// - Throws: `DeviceError.failed` if there is none of that number, or an old one.
  static func usable(_ number: Int, _ libraries: CUDALibraries) throws(DeviceError) -> CUDACard {
    let cards = try all(libraries)
    guard number < cards.count else {
      let names = cards.map(\.name).joined(separator: ", ")
      throw .failed(
        device: "cuda:\(number)",
        problem: "there is no such card; this machine has \(names.isEmpty ? "none" : names)")
    }
    let card = cards[number]
    guard card.capability >= .least else {
      throw .failed(
        device: card.name,
        problem: "\(card.model) has compute capability \(card.capability), expected "
          + "\(Capability.least) (Ampere) or later; choose another --device")
    }
    return card
  }

  private init(_ number: Int, _ driver: CUDADriverFunctions) throws(DeviceError) {
    self.number = number
    var device: CUdevice = 0
    let got = driver.cuDeviceGet(&device, Int32(number))
    guard got == CUDA_SUCCESS else {
      throw CUDAFault(got, driver).error(device: "cuda:\(number)", doing: "asking for it")
    }
    var text = [CChar](repeating: 0, count: 256)
    func string() -> String {
      String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
    _ = driver.cuDeviceGetName(&text, Int32(text.count), device)
    model = string()
    _ = driver.cuDeviceGetPCIBusId(&text, Int32(text.count), device)
    busID = string()
    func attribute(_ which: Int) -> Int {
      var value: Int32 = 0
      _ = driver.cuDeviceGetAttribute(&value, CUdevice_attribute(which), device)
      return Int(value)
    }
    capability = Capability(
      major: attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR),
      minor: attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR))
    multiprocessors = attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)
    hasPools = attribute(CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED) != 0
    var total = 0
    _ = driver.cuDeviceTotalMem(&total, device)
    bytes = total
  }
}

import CPUBackend
import GPUBackend
import OracleBackend
package import Tensor

/// The back ends there are: the one place that names them all.
package enum Backend: Hashable, Sendable {
  /// This processor.
  case cpu
  /// Definitions in Float64, slow: what tests compare the others with.
  case oracle
  /// A card by NVIDIA, by its number.
  case cuda(Int)
  /// The first card if there is one that works, else this processor.
  case automatic

  /// Kernels of the one back end that every machine has.
  package static var ofThisProcessor: any Kernels { CPUKernels() }

  /// Kernels of the back end; the libraries of a card are opened for a card alone.
  ///
  /// - Parameters:
  ///   - precision: Of products.
  ///   - note: Told why a card that is there is not taken, where the choice is free.
  /// - Throws: `DeviceError` if this machine has no such device, or the device no such products.
  package func makeKernels(
    _ precision: Precision = .float32, note: (String) -> Void = { _ in }
  ) throws(DeviceError) -> any Kernels {
    switch self {
    case .cpu: return try Self.whole(CPUKernels(), precision)
    case .oracle: return try Self.whole(OracleKernels(), precision)
    case .cuda(let number):
      return GPUKernels(try CUDADriver(card: number), precision: precision)
    case .automatic:
      guard let card = Self.firstCard else { return try Self.whole(CPUKernels(), precision) }
      do throws(DeviceError) {
        return GPUKernels(try CUDADriver(card: card.number), precision: precision)
      } catch {
        note("\(card.model) is not used: \(error)")
        return try Self.whole(CPUKernels(), precision)
      }
    }
  }

  /// What a run that does not say otherwise is trained in: bfloat16 on a card, whose products are many
  /// times faster in it.
  package var trainingPrecision: Precision {
    switch self {
    case .cpu, .oracle: .float32
    case .cuda: .bfloat16
    case .automatic: Self.firstCard == nil ? .float32 : .bfloat16
    }
  }

  private static var firstCard: CUDACard? {
    (try? CUDALibraries()).flatMap { try? CUDACard.all($0).first }
  }

  /// Kernels of a device that knows one precision.
  private static func whole(
    _ kernels: any Kernels, _ precision: Precision
  ) throws(DeviceError) -> any Kernels {
    guard precision == .float32 else {
      throw .unsupported(device: kernels.name, what: "products in \(precision.rawValue)")
    }
    return kernels
  }

  /// The back end of a device's name.
  ///
  /// - Throws: `DeviceError.failed` if there is none, with the names of those there are.
  package static func named(_ name: String) throws(DeviceError) -> Backend {
    switch name {
    case "cpu": return .cpu
    case "oracle": return .oracle
    case "cuda": return .cuda(0)
    case "auto": return .automatic
    default:
      if name.hasPrefix("cuda:"), let number = UInt16(name.dropFirst(5)) {
        return .cuda(Int(number))
      }
      throw .failed(
        device: name, problem: "there is no such device; choose one of auto, cpu, cuda, cuda:N")
    }
  }

  /// A line for each device that this machine has, and why there is no more.
  package static var listing: String {
    var lines = [("cpu", "this processor")]
    do throws(DeviceError) {
      let libraries = try CUDALibraries()
      let cards = try CUDACard.all(libraries)
      lines += cards.map { ($0.name, $0.description) }
      if let missing = libraries.missing { lines.append(("", missing)) }
    } catch {
      lines.append(("cuda", "none: \(error)"))
    }
    return lines.map { name, text in
      (name + String(repeating: " ", count: max(0, 9 - name.count))) + text
    }.joined(separator: "\n")
  }
}

extension Backend: CaseIterable {
  /// Those that every machine has.
  package static var allCases: [Backend] { [.cpu, .oracle] }
}

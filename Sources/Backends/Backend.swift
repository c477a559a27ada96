import CPUBackend
import GPUBackend
package import Machine
import OracleBackend
package import Tensor

#if arch(x86_64)
  import WideCPUBackend
#endif

/// The back ends there are: the one place that names them all.
package enum Backend: Hashable, Sendable {
  /// This processor.
  case cpu
  /// Definitions in Float64, slow: what tests compare the others with.
  case oracle
  /// A card by NVIDIA, by its number.
  case cuda(Int)
  /// The card for a process of this number among those of this host if it works, else this processor.
  case automatic(localRank: Int)

  /// Kernels of the one back end that every machine has.
  package static var ofThisProcessor: any Kernels { kernels(of: .current) }

  /// Kernels of this processor over vectors of one width, which it must have.
  ///
  /// - Parameters:
  ///   - units: The width.
  ///   - precision: Of products.
  ///   - usesPairs: Whether products in bfloat16 use instructions on pairs where the processor has them;
  ///     without this, what is faster. No bit depends on it.
  package static func kernels(
    of units: VectorUnits, _ precision: Precision = .float32, usesPairs: Bool? = nil
  ) -> any Kernels {
    #if arch(x86_64)
      if units == .avx512 {
        return WideCPUBackend.CPUKernels(precision, usesPairs: usesPairs)
      }
    #endif
    return CPUBackend.CPUKernels(precision, usesPairs: usesPairs)
  }

  /// Whether the wider kernels can multiply pairs of bfloat16 with one instruction, fast or not.
  package static var hasPairs: Bool {
    #if arch(x86_64)
      VectorUnits.current == .avx512 && WideCPUBackend.CPUKernels.hasPairs
    #else
      false
    #endif
  }

  /// Whether the kernels of this process multiply pairs of bfloat16 with one instruction, as they do where it
  /// is there and saves time; otherwise products in bfloat16 take as long as those in float32.
  package static var multipliesPairs: Bool {
    #if arch(x86_64)
      VectorUnits.current == .avx512 && WideCPUBackend.CPUKernels.multipliesPairs
    #else
      false
    #endif
  }

  /// Whether kernels over sixteen lanes are compiled for registers of sixteen; with `-march` on the command line
  /// of a build they are not, and are as slow as those over eight.
  package static var isCompiledForAVX512: Bool {
    #if arch(x86_64)
      WideCPUBackend.CPUKernels.isCompiledForAVX512
    #else
      false
    #endif
  }

  /// Kernels of the back end; the libraries of a card are opened for a card alone.
  ///
  /// - Parameters:
  ///   - precision: Of products.
  ///   - note: Told why a card that is there is not taken, where the choice is free, and that a precision
  ///     that rounds saves no time here.
  /// - Throws: `DeviceError` if this machine has no such device, or the device no such products.
  package func makeKernels(
    _ precision: Precision = .float32, note: (String) -> Void = { _ in }
  ) throws(DeviceError) -> any Kernels {
    switch self {
    case .cpu:
      if precision == .bfloat16 && !Self.multipliesPairs {
        note(
          "this processor has no instructions that make products in bfloat16 faster: they take as long "
            + "as in float32"
        )
      }
      return Self.kernels(of: .current, precision)
    case .oracle:
      guard precision == .float32 else {
        throw .unsupported(
          device: OracleKernels().name, what: "products in \(precision.rawValue)")
      }
      return OracleKernels()
    case .cuda(let number):
      return GPUKernels(try CUDADriver(card: number), precision: precision)
    case .automatic: return try chosen(note: note).makeKernels(precision)
    }
  }

  /// The same, or what the free choice falls to: a card if it works, else this processor.
  ///
  /// - Parameter note: Told why a card that is there is not taken.
  package func chosen(note: (String) -> Void) -> Backend {
    guard case .automatic(let localRank) = self else { return self }
    guard let libraries = try? CUDALibraries(), let cards = try? CUDACard.all(libraries),
      !cards.isEmpty
    else { return .cpu }
    let card = cards[localRank % cards.count]
    do throws(DeviceError) {
      _ = try CUDADriver(card: card.number)
      return .cuda(card.number)
    } catch {
      note("\(card.model) is not used: \(error)")
      return .cpu
    }
  }

  /// What a run that does not say otherwise is trained in: bfloat16 on a card, whose products are many
  /// times faster in it.
  package var trainingPrecision: Precision {
    switch self {
    case .cpu, .oracle, .automatic: .float32
    case .cuda: .bfloat16
    }
  }

  /// The back end of a device's name.
  ///
  /// - Parameters:
  ///   - name: As `--device` takes it.
  ///   - localRank: Number of this process among those of this host that work together: of `cuda` and
  ///     `auto` each takes the next card, from the first again where there are more of them.
  /// - Throws: `DeviceError.failed` if there is none, with the names of those there are.
  package static func named(
    _ name: String, localRank: Int = 0
  ) throws(DeviceError) -> Backend {
    switch name {
    case "cpu": return .cpu
    case "oracle": return .oracle
    case "cuda":
      guard localRank > 0 else { return .cuda(0) }
      let cards = try CUDACard.all(try CUDALibraries())
      return .cuda(localRank % max(1, cards.count))
    case "auto": return .automatic(localRank: localRank)
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
    let units = VectorUnits.current
    var lines = [
      (
        "cpu",
        "this processor, \(units.lanes) lanes of \(units.name)"
          + (units == .avx512 && !isCompiledForAVX512 ? " (compiled for AVX2)" : "")
          + (multipliesPairs ? ", products in bfloat16 by AVX512-BF16" : "")
      )
    ]
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

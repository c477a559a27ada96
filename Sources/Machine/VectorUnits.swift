import CProcessor
import Foundation

/// The vector units that kernels of this processor may be compiled for; each gives the same bits.
package enum VectorUnits: String, CaseIterable, Sendable {
  /// Eight floats, on every processor that the programs run on.
  case avx2
  /// Sixteen floats.
  case avx512

  /// Floats of one vector.
  package var lanes: Int {
    switch self {
    case .avx2: 8
    case .avx512: 16
    }
  }

  /// What it is called.
  package var name: String {
    switch self {
    case .avx2: "AVX2"
    case .avx512: "AVX-512"
    }
  }

  /// Whether the build runs kernels over sixteen lanes on narrower registers, on purpose.
  package static var isEmulated: Bool {
    #if EMULATE_AVX512
      true
    #else
      false
    #endif
  }

  /// Whether this processor and its system have AVX-512, or the build emulates it.
  package static var hasAVX512: Bool { isEmulated || cp_has_avx512() != 0 }

  /// Names the unit that kernels are to use: for measurements and tests.
  package static let variable = "LM_SIMD"

  /// The widest unit that this processor has, or the one that the environment names.
  ///
  /// - Throws: One sentence if it names none, or one that the processor lacks.
  package static func chosen(
    _ environment: [String: String] = ProcessInfo.processInfo.environment,
    hasAVX512: Bool = hasAVX512
  ) throws(VectorUnitsError) -> VectorUnits {
    guard let name = environment[variable], !name.isEmpty else {
      return hasAVX512 ? .avx512 : .avx2
    }
    guard let units = VectorUnits(rawValue: name) else { throw .unknown(name) }
    if units == .avx512 && !hasAVX512 { throw .missing(units) }
    return units
  }

  /// Those in use by this process; the narrowest where the environment asks for what is not there.
  package static let current = (try? chosen()) ?? .avx2
}

/// Vector units that cannot be had.
package enum VectorUnitsError: Error, Equatable, CustomStringConvertible {
  case unknown(String)
  case missing(VectorUnits)

  package var description: String {
    switch self {
    case .unknown(let name):
      "\(VectorUnits.variable)=\(name): there are no such vector units; choose one of "
        + VectorUnits.allCases.map(\.rawValue).joined(separator: ", ")
    case .missing(let units):
      "\(VectorUnits.variable)=\(units.rawValue): this processor lacks \(units.name); unset the "
        + "variable, or set it to avx2"
    }
  }
}

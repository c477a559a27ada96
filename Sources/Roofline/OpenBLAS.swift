import CBLAS

/// The library that our products are compared with.
package enum OpenBLAS {
  /// Version, options and the kernels it has chosen for this processor.
  package static var configuration: String {
    String(cString: openblas_get_config()).split(separator: " ").joined(separator: " ")
  }

  /// The processor that the kernels it has chosen are for.
  package static var kernels: String { String(cString: openblas_get_corename()) }

  /// What to do where it has chosen kernels without AVX, as releases before 2024 do on a Xeon of the
  /// generation Emerald Rapids, which they do not know; nil elsewhere.
  package static var advice: String? {
    guard ["Prescott", "Core2", "Nehalem"].contains(kernels) else { return nil }
    return "OpenBLAS does not know this processor and multiplies without AVX; "
      + "OPENBLAS_CORETYPE=Haswell, or SkylakeX with AVX-512, gives it better kernels"
  }
}

import CBLAS

/// The library that our products are compared with.
package enum OpenBLAS {
  /// Version, options and the kernels it has chosen for this processor.
  package static var configuration: String {
    String(cString: openblas_get_config()).split(separator: " ").joined(separator: " ")
  }

  /// The processor that the kernels it has chosen are for.
  package static var kernels: String { String(cString: openblas_get_corename()) }
}

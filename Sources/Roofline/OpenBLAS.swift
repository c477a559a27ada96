import CBLAS

/// The library that our products are compared with.
package enum OpenBLAS {
  /// Version, options and the kernels it has chosen for this processor.
  package static var configuration: String {
    String(cString: openblas_get_config()).split(separator: " ").joined(separator: " ")
  }
}

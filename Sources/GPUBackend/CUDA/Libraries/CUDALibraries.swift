import CCUDA
import Foundation
package import Tensor

/// NVIDIA's driver, and beside it, where products and kernels are wanted, cuBLASLt and NVRTC.
///
/// None of them is needed to build or to start a program.
package struct CUDALibraries: Sendable {
  let driver: CUDADriverFunctions
  /// Version of CUDA that the driver knows, such as 12.4.
  package let version: (major: Int, minor: Int)
  private let search: LibrarySearch

  /// Opens the driver and starts it.
  ///
  /// - Throws: `DeviceError.failed` if this machine has no driver or no card.
  package init(_ search: LibrarySearch = LibrarySearch()) throws(DeviceError) {
    self.search = search
    let library = try search.open(
      ["libcuda.so.1"],
      remedy: "install NVIDIA's driver, which brings it, or choose --device cpu")
    var driver = CUDADriverFunctions()
    if let missing = ccuda_driver_functions(library.handle, &driver) {
      throw .failed(
        device: "cuda",
        problem: "\(library.path) has no \(String(cString: missing)), so its driver is older than "
          + "CUDA 11.2; install a newer one")
    }
    self.driver = driver
    let started = driver.cuInit(0)
    guard started == CUDA_SUCCESS else {
      throw CUDAFault(started, driver).whileStarting(library.path)
    }
    var number: Int32 = 0
    _ = driver.cuDriverGetVersion(&number)
    version = (Int(number) / 1_000, Int(number) % 1_000 / 10)
  }

  /// What a card needs beside the driver and this machine lacks; nil if it has all.
  package var missing: String? {
    do throws(DeviceError) {
      _ = try openCompiler()
      _ = try openProducts()
      return nil
    } catch {
      return "\(error)"
    }
  }

  /// The compiler of kernels.
  func openCompiler() throws(DeviceError) -> NVRTCFunctions {
    try Self.openCompiler(search, version: version.major)
  }

  /// The compiler of kernels, which needs neither a card nor a driver.
  ///
  /// - Parameters:
  ///   - search: Where it is looked for.
  ///   - version: The newest that is of use.
  static func openCompiler(
    _ search: LibrarySearch, version: Int = newest
  ) throws(DeviceError) -> NVRTCFunctions {
    let names = endings(version).map { "libnvrtc.so.\($0 == 11 ? "11.2" : String($0))" }
    let library = try search.open(names, remedy: remedy)
    library.openCompanions("libnvrtc-builtins.so.*")
    var functions = NVRTCFunctions()
    if let missing = ccuda_nvrtc_functions(library.handle, &functions) {
      throw lacks(library, missing)
    }
    return functions
  }

  /// Matrix products.
  func openProducts() throws(DeviceError) -> CUBLASLtFunctions {
    let names = Self.endings(version.major).map { "libcublasLt.so.\($0)" }
    let library = try search.open(names, remedy: Self.remedy)
    var functions = CUBLASLtFunctions()
    if let missing = ccuda_cublaslt_functions(library.handle, &functions) {
      throw Self.lacks(library, missing)
    }
    return functions
  }

  /// What carries numbers between cards.
  func openNCCL() throws(DeviceError) -> (functions: NCCLFunctions, path: String) {
    let library = try search.open(["libnccl.so.2"], remedy: Self.ncclRemedy)
    var functions = NCCLFunctions()
    if let missing = ccuda_nccl_functions(library.handle, &functions) {
      throw .failed(
        device: "cuda",
        problem:
          "\(library.path) has no \(String(cString: missing)), so it is older than NCCL 2.13; "
          + Self.ncclRemedy)
    }
    return (functions, library.path)
  }

  private static let ncclRemedy =
    "run scripts/setup.sh --nccl, or name the folder of a newer one in \(LibrarySearch.variable)"

  /// The newest version that is known to keep its declarations.
  private static let newest = 13

  /// Major versions of libraries, newest first: a driver serves its own and older ones.
  private static func endings(_ version: Int) -> [Int] { (11...max(version, 11)).reversed() }

  private static let remedy =
    "run scripts/setup.sh --cuda, or name the folder that has it in \(LibrarySearch.variable)"

  private static func lacks(_ library: OpenLibrary, _ name: UnsafePointer<CChar>) -> DeviceError {
    .failed(
      device: "cuda",
      problem:
        "\(library.path) has no \(String(cString: name)); run scripts/setup.sh --cuda, or name "
        + "the folder of a newer one in \(LibrarySearch.variable)")
  }
}

import CCUDA
import Tensor

/// A result of the driver that is not success.
struct CUDAFault {
  let code: CUresult
  /// As in the driver's documentation, with its own words.
  let text: String

  init(_ code: CUresult, _ driver: CUDADriverFunctions) {
    self.code = code
    var name: UnsafePointer<CChar>?
    var words: UnsafePointer<CChar>?
    _ = driver.cuGetErrorName(code, &name)
    _ = driver.cuGetErrorString(code, &words)
    text =
      (name.map { String(cString: $0) } ?? "error \(code)")
      + (words.map { ", " + String(cString: $0) } ?? "")
  }

  private func isOne(of codes: [Int]) -> Bool { codes.contains(Int(code)) }

  /// The card, or the way to it, has failed.
  private var isLoss: Bool {
    isOne(of: [
      CUDA_ERROR_DEINITIALIZED, CUDA_ERROR_DEVICE_UNAVAILABLE, CUDA_ERROR_ECC_UNCORRECTABLE,
      CUDA_ERROR_NVLINK_UNCORRECTABLE, CUDA_ERROR_CONTAINED, CUDA_ERROR_CONTEXT_IS_DESTROYED,
      CUDA_ERROR_LAUNCH_TIMEOUT, CUDA_ERROR_UNKNOWN,
    ])
  }

  /// A kernel did what it must not.
  private var isCrash: Bool {
    isOne(of: [
      CUDA_ERROR_ILLEGAL_ADDRESS, CUDA_ERROR_ASSERT, CUDA_ERROR_HARDWARE_STACK_ERROR,
      CUDA_ERROR_ILLEGAL_INSTRUCTION, CUDA_ERROR_MISALIGNED_ADDRESS,
      CUDA_ERROR_INVALID_ADDRESS_SPACE, CUDA_ERROR_INVALID_PC, CUDA_ERROR_LAUNCH_FAILED,
    ])
  }

  /// Whether nothing that this process does on the card can succeed any more.
  var isFinal: Bool { isLoss || isCrash }

  /// The error of a card that was in use.
  ///
  /// - Parameters:
  ///   - device: The card's name.
  ///   - action: What was being done when it was noticed, as "launching add_rows".
  func error(device: String, doing action: String) -> DeviceError {
    if isLoss {
      return .failed(
        device: device,
        problem:
          "the card is lost (\(text), noticed while \(action)); what was saved before is whole, "
          + "so go on from the last checkpoint once nvidia-smi shows the card again")
    }
    if isCrash {
      return .failed(
        device: device,
        problem: "a kernel failed (\(text), noticed while \(action)), which is a fault of this "
          + "program or of the card; what was saved before is whole, and --device cpu goes on from it"
      )
    }
    return .failed(device: device, problem: "\(text), while \(action)")
  }

  /// The error of a driver that does not start.
  func whileStarting(_ path: String) -> DeviceError {
    switch Int(code) {
    case CUDA_ERROR_NO_DEVICE, CUDA_ERROR_INVALID_DEVICE:
      .failed(
        device: "cuda",
        problem: "\(path) finds no card; look at nvidia-smi and at CUDA_VISIBLE_DEVICES, or choose "
          + "--device cpu")
    case CUDA_ERROR_SYSTEM_DRIVER_MISMATCH:
      .failed(
        device: "cuda",
        problem: "\(path) is of another version than the driver that runs; restart the machine, or "
          + "choose --device cpu")
    case CUDA_ERROR_STUB_LIBRARY:
      .failed(
        device: "cuda",
        problem: "\(path) is a stub of a toolkit, not a driver; take its folder off LD_LIBRARY_PATH"
      )
    default:
      .failed(device: "cuda", problem: "\(path) does not start (\(text)); look at nvidia-smi")
    }
  }
}

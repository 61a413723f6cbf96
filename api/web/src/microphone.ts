/** The microphones of this machine, and the one that was chosen. */

const KEY = "call2me.microphone";

/** False where browsers hide microphones altogether: plain http to another machine. */
export function isMicrophoneAllowedHere(): boolean {
  return window.isSecureContext && navigator.mediaDevices?.getUserMedia !== undefined;
}

/** Microphones by name; empty before permission was given, since browsers hide names until then. */
export async function microphones(): Promise<MediaDeviceInfo[]> {
  if (!isMicrophoneAllowedHere()) return [];
  try {
    const devices = await navigator.mediaDevices.enumerateDevices();
    return devices.filter(
      (device) => device.kind === "audioinput" && device.deviceId !== "" && device.label !== "",
    );
  } catch {
    return [];
  }
}

export function onDevicesChanged(listener: () => void): void {
  navigator.mediaDevices?.addEventListener?.("devicechange", listener);
}

export function chosenMicrophone(): string {
  try {
    return localStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

export function chooseMicrophone(deviceId: string): void {
  try {
    localStorage.setItem(KEY, deviceId);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
}

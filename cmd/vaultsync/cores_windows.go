package main

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

// forbidCores keeps the heap, in which secrets and tokens stand, out of the
// reports of Windows Error Reporting. The Go runtime asks for none unless
// GOTRACEBACK=wer; this holds for that case too.
func forbidCores() {
	const noHeap = 1 // WER_FAULT_REPORTING_FLAG_NOHEAP
	kernel := windows.NewLazySystemDLL("kernel32.dll")
	get, set := kernel.NewProc("WerGetFlags"), kernel.NewProc("WerSetFlags")
	if get.Find() != nil || set.Find() != nil {
		return
	}
	var flags uint32
	if failed, _, _ := get.Call(uintptr(windows.CurrentProcess()), uintptr(unsafe.Pointer(&flags))); failed != 0 {
		flags = 0
	}
	_, _, _ = set.Call(uintptr(flags | noHeap)) // what the machine has set stays otherwise
}

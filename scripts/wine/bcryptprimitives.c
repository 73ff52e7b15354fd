/*
 * A stand-in for bcryptprimitives.dll, which Wine 8.0 lacks and which every Go
 * program needs at its start: the one function that Go takes from it. For tests
 * under Wine only, never shipped.
 */
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG size); /* RtlGenRandom, in advapi32 */

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size)
{
	const SIZE_T most = 1 << 20;

	while (size > 0) {
		ULONG part = (ULONG)(size < most ? size : most);

		if (!SystemFunction036(data, part))
			return FALSE;
		data += part;
		size -= part;
	}
	return TRUE;
}

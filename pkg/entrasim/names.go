package entrasim

import (
	"math/rand/v2"
	"strings"
)

func givenNames() []string {
	return strings.Fields(`Ada Aino Alex Amina Anders Anna Bao Bela Carla Chen Clara Daan Dana Diego Elif Elena
		Emil Erik Eva Farid Finn Gita Hana Hugo Ida Imani Ines Ivan Jana Jin Jonas Jun Kaia Karim Lars Leila Lena Liam
		Lina Luca Maja Marco Maria Mei Mikko Mina Nadia Nils Noa Nora Olga Omar Paula Pekka Petra Priya Rafael Ravi
		Rosa Sami Sara Sofia Sven Tariq Tea Tomas Uma Vera Viktor Wei Yara Yuki Zoe`)
}

func familyNames() []string {
	return strings.Fields(`Aalto Abebe Almeida Andersen Bauer Becker Berg Bianchi Borg Castro Chen Costa Diaz Dubois
		Eriksen Farkas Ferrari Fischer Garcia Greco Haas Hansen Heikki Hoffman Horvat Ito Ivanov Jansen Kaya Keller
		Khan Kim Koch Kovacs Lang Larsen Lehto Lind Lopez Martin Meyer Molina Moreau Mori Nagy Nguyen Novak Okafor
		Olsen Park Patel Pereira Peters Popov Rao Rossi Ruiz Saito Santos Schmidt Silva Singh Smit Sato Tanaka Varga
		Virtanen Vogel Weber Wong Yilmaz Zhang Zimmer`)
}

func departments() []string {
	return []string{"Sales", "Engineering", "Finance", "Legal", "People", "Operations", "Marketing", "Support"}
}

func cities() []string {
	return []string{"Helsinki", "Berlin", "Austin", "Osaka", "Porto", "Toronto"}
}

// newPerson is a user object number n. All its text lies in one string, so that
// a million of them stay small.
func newPerson(random *rand.Rand, given, family, department, city string, n int) object {
	var b strings.Builder
	b.WriteString(given)
	b.WriteByte(' ')
	b.WriteString(family)
	names := b.Len()
	b.WriteString(strings.ToLower(given))
	b.WriteByte('.')
	b.WriteString(strings.ToLower(family))
	b.WriteString(itoa(n))
	b.WriteString("@contoso.com")
	text := b.String()
	upn := text[names:]
	o := object{id: randomID(random), kind: User}
	o.attrs = []attribute{
		{upn, userUPN},
		{text[:names], userDisplayName},
		{upn, userMail},
		{text[:len(given)], userGivenName},
		{text[len(given)+1 : names], userSurname},
		{department, userDepartment},
		{city, userCity},
	}
	return o
}

// randomID is a GUID of version 4 from a seeded source.
func randomID(random *rand.Rand) ID {
	var id ID
	a, b := random.Uint64(), random.Uint64()
	for i := range 8 {
		id[i], id[8+i] = byte(a>>(8*i)), byte(b>>(8*i))
	}
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

func pick[T any](random *rand.Rand, list []T) T { return list[random.IntN(len(list))] }

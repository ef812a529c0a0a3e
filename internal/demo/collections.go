package demo

func emoji() Collection {
	return Collection{
		Name:        "emoji",
		Description: "Every emoji with its name, keywords and group.",
		License:     "MIT: emoji-datasource (Cal Henderson), emojibase (Miles Johnson)",
		Count:       1906,
		Fields: []Field{
			{"emoji", "keyword", true, "the character itself"},
			{"name", "text", false, "English name"},
			{"keywords", "keyword", true, "words people look for"},
			{"about", "text", false, "the keywords as one text, for the encoder"},
			{"short_name", "keyword", true, "name in :colons:"},
			{"group", "keyword", true, "such as Animals & Nature"},
			{"subgroup", "keyword", true, "such as animal-bird"},
			{"version", "float64", true, "emoji version that added it"},
			{"skin_tones", "bool", true, "comes in several skin tones"},
		},
		Source: []string{"name", "about"},
		Searches: []Search{
			{"who lives in the sea", "animals of the sea", []Condition{{"group", "eq", "Animals & Nature"}}, "1f40b"},
			{"what money looks like", "money", []Condition{{"group", "eq", "Objects"}, {"version", "lt", 13.0}}, "1f4b0"},
			{"a sweet for a birthday", "birthday dessert", []Condition{{"subgroup", "in", []string{"food-sweet", "food-fruit"}}}, "1f382"},
		},
	}
}

func cuisines() Collection {
	return Collection{
		Name:        "cuisines",
		Description: "Traditional cuisines, and which of them 1,252 people like.",
		License:     "CC BY 4.0: FiveThirtyEight (food-world-cup)",
		Count:       40,
		Fields: []Field{
			{"name", "text", false, "country"},
			{"about", "text", false, "where that is, for the encoder"},
			{"region", "keyword", true, "such as Western Asia"},
			{"continent", "keyword", true, "such as Asia"},
			{"rated", "int64", true, "respondents who rated it"},
			{"liked", "float64", true, "share of those who gave it 4 or 5 of 5"},
		},
		Source: []string{"name", "about"},
		Searches: []Search{
			{"dinner from Asia or Africa", "food of Africa", []Condition{{"continent", "in", []string{"Asia", "Africa"}}}, "ghana"},
			{"little known in South America", "South America", []Condition{{"rated", "lt", int64(500)}}, "uruguay"},
			{"what most people like in the south of Europe", "Southern Europe", []Condition{{"liked", "gte", 0.5}}, "greece"},
		},
		Taste: &Taste{Model: "taste", Fields: []string{"region"}, People: 1252, Likes: 12218, User: "r446"},
	}
}

func films() Collection {
	return Collection{
		Name:        "films",
		Description: "Films with box office, Bechdel test, ratings, and for biographies whom they are about.",
		License:     "CC BY 4.0: FiveThirtyEight (bechdel, biopics, fandango)",
		Count:       2525,
		Fields: []Field{
			{"title", "text", false, "English title"},
			{"about", "text", false, "one line on a biography"},
			{"year", "int64", true, "year of release"},
			{"decade", "keyword", true, "such as 1990s"},
			{"biopic", "bool", true, "listed as a biography"},
			{"director", "keyword", true, "directors, of biographies"},
			{"country", "keyword", true, "countries, of biographies"},
			{"lead", "keyword", true, "leading actors, of biographies"},
			{"subject", "keyword", true, "whom a biography is about"},
			{"subject_kind", "keyword", true, "what that person was, such as athlete"},
			{"bechdel", "keyword", true, "how the film does in the Bechdel test"},
			{"passes_bechdel", "bool", true, "two women talk, and not about a man"},
			{"budget", "int64", true, "US dollars of the day"},
			{"gross_us", "int64", true, "box office in the United States, US dollars"},
			{"gross", "int64", true, "box office worldwide, US dollars"},
			{"rotten_tomatoes", "int64", true, "critics' score, 0 to 100 (films of 2014 and 2015)"},
			{"metacritic", "int64", true, "critics' score, 0 to 100 (films of 2014 and 2015)"},
			{"imdb", "float64", true, "users' score, 0 to 10 (films of 2014 and 2015)"},
			{"imdb_votes", "int64", true, "votes behind imdb"},
			{"fandango_stars", "float64", true, "stars shown by Fandango, 0 to 5 (films of 2014 and 2015)"},
			{"tables", "keyword", true, "which source tables know the film"},
		},
		Source: []string{"title", "about"},
		Searches: []Search{
			{"the lives of composers", "composer", []Condition{{"biopic", "eq", true}}, "tt0086879"},
			{"in the air, since 1980", "airplane pilot", []Condition{{"year", "gte", int64(1980)}}, "tt1907668"},
			{"war films that earned 100 million dollars", "military combat", []Condition{{"gross", "gte", int64(100_000_000)}}, "tt0091763"},
		},
	}
}

func packages() Collection {
	return Collection{
		Name:        "packages",
		Description: "Programs packaged in Debian 12, with their tags.",
		License:     "Debian package metadata and debtags, Debian 12 (bookworm) main",
		Count:       7454,
		Fields: []Field{
			{"name", "keyword", true, "package name"},
			{"section", "keyword", true, "section of the archive"},
			{"description", "text", false, "one line"},
			{"use", "keyword", true, "what one does with it, such as editing"},
			{"interface", "keyword", true, "commandline, x11, web ..."},
			{"works_with", "keyword", true, "kinds of data, such as image:raster"},
			{"language", "keyword", true, "implemented in"},
			{"toolkit", "keyword", true, "such as gtk"},
			{"tags", "keyword", true, "all debtags, facet::tag"},
		},
		Source: []string{"description"},
		Searches: []Search{
			{"somebody to play chess with", "play chess against the computer", []Condition{{"section", "eq", "games"}}, "stockfish"},
			{"look at pictures in a window", "image viewer", []Condition{{"interface", "eq", "x11"}}, "gwenview"},
			{"what goes over the network, in a terminal", "network traffic analyzer", []Condition{{"section", "in", []string{"net", "admin"}}, {"interface", "in", []string{"commandline", "text-mode"}}}, "tcpdump"},
		},
	}
}
